// SPDX-License-Identifier: Apache-2.0
// What Producer and Consumer share: an attachment, its ring, waiting, and the count of who still uses them.
#pragma once

#include <sys/single_threaded.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "attachment.hpp"
#include "function_ref.hpp"
#include "os/clock.hpp"
#include "ring.hpp"
#include "shmlane/queue.hpp"

namespace shmlane {

// Thread-safe. The participant leaves when the handle is closed and the last operation, lease and reservation is over;
// until then the core lives, whoever else points to it.
class QueueCore {
 public:
  template <class Core, class... Arguments>
  static std::shared_ptr<QueueCore> make(Arguments&&... arguments) {
    std::shared_ptr<QueueCore> core = std::make_shared<Core>(std::forward<Arguments>(arguments)...);
    core->itself_ = core;
    return core;
  }
  static constexpr std::chrono::nanoseconds kLockPatience = std::chrono::seconds(1);

  QueueCore(std::string_view name, const QueueOptions& options, std::uint8_t role, ParticipantPolicy policy);
  ~QueueCore();
  QueueCore(const QueueCore&) = delete;
  QueueCore& operator=(const QueueCore&) = delete;

  // A call under way, which keeps the participant attached; it may leave a hold (a lease, a reservation) behind that
  // goes on doing so. Throws Closed.
  class Use {
   public:
    explicit Use(QueueCore& core) : core_(core), me_(core.enter()) {}
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() {
      if (leaves_ != 0) core_.finish(me_, leaves_);
    }
    [[nodiscard]] ParticipantId me() const noexcept { return me_; }
    // One hold stays: somebody will call exit(me()).
    void hand_over() noexcept { leaves_ = kCall; }
    // The end of a call in which nobody can have forked: nothing of the user's ran.
    void end() noexcept { core_.count_out(std::exchange(leaves_, 0)); }

   private:
    QueueCore& core_;
    ParticipantId me_;
    std::uint64_t leaves_ = kCall + kUse;
  };

  // One more hold beside a call that is under way, also if the handle was closed meanwhile.
  void enter_again() noexcept { add(kUse); }
  // The end of a hold of the participant `me`; nothing if that was an ancestor of this forked process.
  void exit(ParticipantId me) noexcept { finish(me, kUse); }
  // The same for who knows that it owns the hold.
  void exit_owned() noexcept { count_out(kUse); }

  // Whether the caller's call is the only one, and nothing is held. To be asked under consumers_lock: whoever enters later
  // takes later. Counted first, looked second: a handle that closes in between says so before it counts itself out, and
  // the other way round a lease would pass for the open handle.
  [[nodiscard]] bool alone() const noexcept {
    const std::uint64_t uses = uses_.load(std::memory_order_acquire);
    return uses == kCall + (closed() ? kUse : 2 * kUse);
  }

  // Whether a hold of the participant `me` is this process's to end; after a fork it is the parent's.
  [[nodiscard]] bool owns(ParticipantId me) const noexcept {
    return !attachment_.inherited() && me == counted_for_.load(std::memory_order_relaxed);
  }

  // Waits a moment for the calls that it ends, so that a process that exits next has left before.
  void close() noexcept;
  [[nodiscard]] bool closed() const noexcept { return closed_.load(std::memory_order_acquire); }
  void cancel_waits() noexcept;

  // The ring, once somebody has laid it out; else null.
  [[nodiscard]] Ring* ring() {
    Ring* ring = ring_pointer_.load(std::memory_order_acquire);
    return ring != nullptr ? ring : find_ring();
  }
  [[nodiscard]] Attachment& attachment() noexcept { return attachment_; }
  [[nodiscard]] const Participants& participants() const noexcept { return attachment_.participants(); }

  enum class Waited : std::uint8_t { kDone, kTimedOut, kCancelled };
  // Calls `attempt` until it is true: while spinning whenever `hint` is true, then after each time it was woken at
  // `place`, or a slice was over. It spins the longer, the more bytes are `in_work` at the place that is waited for, and
  // looks once in so many `pauses`. Reaps the dead on the way. Throws Closed, or what they throw.
  Waited wait_until(WaitPlace& place, const os::Deadline& deadline, FunctionRef<bool()> hint,
                    FunctionRef<bool()> attempt, FunctionRef<std::uint64_t()> in_work, int pauses = 1);
  // Reaps whoever died, if the last look is more than a slice ago. Waits so long for locks that the living hold; who may
  // not wait tries again a slice later.
  void reap_now_and_then(ParticipantId me, std::chrono::nanoseconds patience);
  void reap_all(ParticipantId me, std::chrono::nanoseconds patience);
  // When that was last, by the monotonic clock.
  [[nodiscard]] std::int64_t reaped_at() const noexcept { return reaped_at_.load(std::memory_order_relaxed); }

  // How long it may spin before it sleeps; 0 where a spinner may keep off the very one it waits for.
  [[nodiscard]] std::int64_t spin_ns() const noexcept;

  [[nodiscard]] QueueStat stat();
  [[noreturn]] void throw_closed() const;

 private:
  // What `uses_` counts: in its low half the open handle, holds and calls under way; in its high half the calls alone.
  static constexpr std::uint64_t kUse = 1;
  static constexpr std::uint64_t kCall = std::uint64_t{1} << 32;

  [[nodiscard]] ParticipantId enter() {
    if (attachment_.inherited()) [[unlikely]]
      renew();
    const ParticipantId me = attachment_.still_me();
    add(kCall + kUse);
    // Counted first, looked second: close() does it the other way round, so one of us sees the other.
    if (closed()) [[unlikely]]
      refuse(me);
    return me;
  }
  void finish(ParticipantId me, std::uint64_t part) noexcept {
    if (owns(me)) [[likely]]
      count_out(part);
  }
  void count_out(std::uint64_t part) noexcept {
    if (static_cast<std::uint32_t>(add(0 - part)) == 0) [[unlikely]]
      leave();
  }
  // A locked instruction only if there are other threads.
  std::uint64_t add(std::uint64_t change) noexcept {
    if (!__libc_single_threaded) return uses_.fetch_add(change, std::memory_order_seq_cst) + change;
    const std::uint64_t sum = uses_.load(std::memory_order_relaxed) + change;
    uses_.store(sum, std::memory_order_relaxed);
    return sum;
  }
  void renew();
  [[noreturn]] void refuse(ParticipantId me);
  Ring* find_ring();
  void check_interrupts() const;
  void keep_for_the_inherited() noexcept;
  [[nodiscard]] std::shared_ptr<QueueCore> let_go() noexcept;
  void leave() noexcept;

  InterruptCheck interrupt_check_;
  Attachment attachment_;
  std::optional<Ring> ring_;  // made once, under the attachment's mutex
  std::atomic<Ring*> ring_pointer_{nullptr};
  std::atomic<std::uint64_t> uses_{kUse};
  std::atomic<ParticipantId> counted_for_{0};
  std::atomic<bool> closed_{false};
  // Keeps the core for leases, which only count and do not share: that would cost them two more locked instructions.
  std::shared_ptr<QueueCore> itself_;
  std::atomic<bool> keeps_itself_{true};  // until it leaves; false with `itself_` set: for ever
  std::atomic<std::uint32_t> cancellations_{0};
  std::atomic<std::int64_t> reaped_at_{0};
};

// Counters of the table and fill of the ring (null: not laid out yet), without a lock.
QueueStat queue_stat(const Participants& table, const Ring* ring);
// The counters of one entry, of its owners before the present one, too (W-15).
Counters entry_counters(wire::ParticipantEntry& entry) noexcept;
// READY and LEASED frames in a segment whose body is mapped and in which nobody lives. Throws Corrupt.
std::uint64_t count_objects(Segment& segment);

}  // namespace shmlane
