// SPDX-License-Identifier: Apache-2.0
// A stream seen from one handle: the newest value of one array, in slots that are used in turn (SPEC section 11).
//
//   slot 0      slot 1      slot 2      slot 3        published = {count 6, slot 2}
//   value 4     value 5     value 6     (value 7)     <- is being written, or was, by one who died
//
// Writing, under write_lock:
//   1. The next slot after the published one is filled. Readers do not look there.
//   2. One store of {count + 1, that slot} to `published` makes it the value.
// Reading, without a lock:
//   3. Load `published`, copy its slot.
//   4. Load `published` again. The slot was reused at most if all others have been used since, so if the count has grown by
//      less than slots - 1, the copy is whole. Else once more.
//   5. Who is outrun again and again takes write_lock for one copy, so that no writer starves him.
//
// A writer that is killed or stopped in step 1 is nothing to readers; the next writer fills the same slot anew.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "array_core.hpp"
#include "bell.hpp"
#include "os/clock.hpp"
#include "shared_copy.hpp"
#include "shmlane/stream.hpp"
#include "stream_published.hpp"

namespace shmlane {

// Thread-safe.
class StreamCore final : public ArrayCore {
 public:
  // Creates the stream if an array is given, else opens it. Throws what Stream::create and open say.
  StreamCore(std::string_view name, const std::optional<ArrayFacts>& array, const StreamOptions& options);
  ~StreamCore() { close(); }

  // ---- Reading
  [[nodiscard]] Published published() const {
    // Pairs with the release store in publish().
    const Published now = Published::unpack(atomic(control().published.value).load(kAcquire));
    if (now.slot >= array().slots) [[unlikely]]
      throw_corrupt();
    return now;
  }
  std::uint64_t read(std::byte* out) {
    require_usable();
    for (int tries = 0; tries < kTries; ++tries) {
      const Published from = published();
      shared_copy(out, slot(from.slot), array().nbytes);
      if (!reused(from)) [[likely]]
        return note_read(from.count);
    }
    return read_under_lock(out);
  }
  // False on time-out or cancel_waits().
  bool wait_after(std::uint64_t count, const os::Deadline& deadline);
  [[nodiscard]] Bell& value_bell() noexcept { return value_bell_; }
  [[nodiscard]] std::uint64_t last_read() const noexcept { return last_read_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t missed() const noexcept { return missed_.load(std::memory_order_relaxed); }
  [[nodiscard]] StreamStat stat();

  // ---- Writing, under the lock
  // The next value's slot. Throws Removed, or InvalidArgument while another write is open.
  std::byte* begin_write();
  // Step 2. Throws Removed or Evicted; then the old value stays.
  std::uint64_t publish(ParticipantId me);
  void cancel_write() noexcept;
  // The newest value's slot.
  [[nodiscard]] std::byte* newest() const { return slot(published().slot); }

  void close() noexcept { ArrayCore::close(write_open_.load(std::memory_order_relaxed)); }

 private:
  static constexpr int kTries = 16;

  [[nodiscard]] wire::StreamControl& control() const noexcept { return segment().stream_control(); }
  [[nodiscard]] std::byte* slot(std::uint32_t index) const noexcept { return memory() + index * array().slot_size; }
  [[nodiscard]] bool reused(const Published& from) const noexcept {
    // Who copied a byte of the write that reuses the slot also sees, after this fence, the count that was published before
    // that write: it pairs with the release fence in begin_write().
    acquire_fence();
    const std::uint64_t now = Published::unpack(atomic(control().published.value).load(kRelaxed)).count;
    return now - from.count >= array().slots - 1U;
  }
  static void acquire_fence() noexcept {
#if !defined(SHMLANE_TSAN)  // which knows no fences; in its build every access is sequentially consistent
    std::atomic_thread_fence(std::memory_order_acquire);
#endif
  }
  std::uint64_t note_read(std::uint64_t count) noexcept {
    const std::uint64_t last = last_read_.load(std::memory_order_relaxed);
    if (count > last) {
      if (count > last + 1) {
        missed_.store(missed_.load(std::memory_order_relaxed) + (count - last - 1), std::memory_order_relaxed);
      }
      last_read_.store(count, std::memory_order_relaxed);
    }
    return count;
  }
  std::uint64_t read_under_lock(std::byte* out);
  void in_forked_child() noexcept override { write_open_.store(false, std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t spin_ns() const noexcept;
  [[noreturn]] void throw_corrupt() const;

  std::optional<std::chrono::nanoseconds> spin_;
  Bell value_bell_;
  std::atomic<std::uint64_t> last_read_{0};
  std::atomic<std::uint64_t> missed_{0};
  Published next_{};  // what publish() will store; under the lock
  // Between begin_write() and publish() or cancel_write(); under the lock, or looked at by the thread that holds it.
  // Relaxed: an exchange would wait for the whole copy to leave the store buffer.
  std::atomic<bool> write_open_{false};
};

}  // namespace shmlane
