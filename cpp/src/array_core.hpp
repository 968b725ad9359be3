// SPDX-License-Identifier: Apache-2.0
// What streams and tensors share: a participant in a segment with one array, its write lock, and the count of who still
// uses the handle (SPEC 11.1, 11.2).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "array_header.hpp"
#include "attachment.hpp"
#include "os/clock.hpp"
#include "uses.hpp"
#include "write_lock.hpp"

namespace shmlane {

struct ArrayOptions {
  wire::Kind kind{};
  unsigned mode = 0600;
  bool owned = false;  // goes with the handle that created it
  bool write_body = true;
  InterruptCheck interrupt_check = nullptr;
};

// Writes the first value of a new array into its memory.
using Fill = std::function<void(std::byte*)>;

// Thread-safe. The participant leaves when the handle is closed and nobody holds a lock by it any more.
class ArrayCore {
 public:
  // Creates the segment if an array is given, else opens it. Throws what Stream::create and open say, and what `fill`
  // throws; nobody finds the segment before that has returned.
  ArrayCore(std::string_view name, const std::optional<ArrayFacts>& array, const ArrayOptions& options,
            const Fill& fill = nullptr);
  ArrayCore(const ArrayCore&) = delete;
  ArrayCore& operator=(const ArrayCore&) = delete;

  [[nodiscard]] const std::string& name() const noexcept { return attachment_.name(); }
  [[nodiscard]] const ArrayFacts& array() const noexcept { return array_; }
  [[nodiscard]] bool created() const noexcept { return created_; }
  // Of the whole body.
  [[nodiscard]] std::byte* memory() const noexcept { return segment().body(); }

  // Takes the write lock, again if this thread has it. 0 if the deadline passed, else the participant that has it, for
  // unlock(). Throws Closed, Removed, Evicted, and what the interrupt check throws.
  ParticipantId lock(const os::Deadline& deadline) {
    const ParticipantId me = enter();
    return lock_.lock_at_once(me) ? me : lock_slowly(me, deadline);
  }
  void unlock(ParticipantId me) noexcept {
    if (!owns(me)) [[unlikely]]
      return;
    lock_.unlock(me);
    finish(me);
  }
  [[nodiscard]] bool locked_here() const noexcept { return !attachment_.inherited() && lock_.held_here(); }
  // Whether what that participant holds is this process's: after a fork it is the parent's.
  [[nodiscard]] bool owns(ParticipantId me) const noexcept { return !attachment_.inherited() && me == participant(); }
  [[nodiscard]] bool is_alive(ParticipantId id) const noexcept { return participants().alive(id, participant()); }
  [[nodiscard]] ParticipantId participant() const noexcept { return counted_for_.load(std::memory_order_relaxed); }

  // Ends every wait of this handle in another thread as if its time were over. Others are woken, too, and sleep on.
  void cancel_waits() noexcept;
  [[nodiscard]] std::uint32_t cancellations() const noexcept { return cancellations_.load(); }
  [[nodiscard]] bool cancelled_since(std::uint32_t before) const noexcept { return cancellations_.load() != before; }

  [[nodiscard]] bool closed() const noexcept { return closed_.load(std::memory_order_acquire); }
  void unlink();
  // Throws Closed or Removed.
  void require_usable() const {
    if (closed() || segment().state() == wire::SegmentState::kRemoved) [[unlikely]]
      throw_unusable();
  }
  // The same, and whatever the interrupt check throws.
  void check_wait() const;
  [[noreturn]] void throw_unlocked() const;

 protected:
  ~ArrayCore() = default;
  // At the end of the handle; `keeps_lock`: the thread that holds the lock goes on doing so.
  void close(bool keeps_lock) noexcept;
  // One more use, of the participant that is returned. Throws Closed.
  [[nodiscard]] ParticipantId enter() {
    if (attachment_.inherited()) [[unlikely]]
      renew();
    const ParticipantId me = participant();
    uses_.add(1);
    // Counted first, looked second: close() does it the other way round, so one of us sees the other.
    if (closed()) [[unlikely]]
      refuse(me);
    return me;
  }
  void finish(ParticipantId me) noexcept {
    if (owns(me) && uses_.add(~std::uint32_t{0}) == 0) [[unlikely]]
      leave();
  }
  [[nodiscard]] Segment& segment() const noexcept { return attachment_.segment(); }
  [[nodiscard]] const Participants& participants() const noexcept { return attachment_.participants(); }
  [[nodiscard]] WriteLock& write_lock() noexcept { return lock_; }
  [[nodiscard]] const std::uint32_t& flags() const noexcept { return segment().header().flags; }
  [[nodiscard]] std::string title() const;  // "stream 'name'"

 private:
  virtual void in_forked_child() noexcept {}
  ParticipantId lock_slowly(ParticipantId me, const os::Deadline& deadline);
  void renew();
  [[noreturn]] void refuse(ParticipantId me);
  void leave() noexcept;
  [[noreturn]] void throw_unusable() const;

  ArrayOptions options_;
  bool created_;
  ArrayFacts array_;
  mutable Attachment attachment_;
  WriteLock lock_;
  Uses uses_;
  std::atomic<ParticipantId> counted_for_{0};
  std::atomic<bool> closed_{false};
  std::atomic<std::uint32_t> cancellations_{0};
};

}  // namespace shmlane
