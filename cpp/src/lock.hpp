// SPDX-License-Identifier: Apache-2.0
// A lock that outlives its holder: one word that names its owner, taken over when the owner is dead (SPEC 5.1).
//
// Nobody steals from the living: a holder that is merely stopped keeps everybody waiting, as long as they asked.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "atomic.hpp"
#include "crash_point.hpp"
#include "os/clock.hpp"
#include "participants.hpp"

namespace shmlane {

enum class Locked : std::uint8_t {
  kNo,
  kYes,
  kFromDead,  // taken over: what the dead may have left half-done must be repaired
};

// A lock that one thread alone uses is left to it: its word then says {biased, owner}, and the owner enters and leaves by
// plain stores to a flag of its own, `busy`, without a locked instruction, which would wait for every store before it:
//   owner:    busy = 1; look at the word once more: still mine? then inside, else busy = 0 and the ordinary way.
//   revoker:  word = me; membarrier(2) on everybody; wait until nobody alive is busy; then inside.
// The barrier makes it certain that one of the two sees the other (Dekker's algorithm; the asymmetric form is from
// D. Dice, H. Huang, M. Yang: Asymmetric Dekker Synchronization, 2001). A revoker that dies leaves its id in the word, and
// who takes the lock from it does the same.
class OwnerLock {
 public:
  using Busy = std::uint32_t wire::ParticipantEntry::*;

  OwnerLock(std::uint64_t& word, Busy busy, const std::uint32_t& flags, const Participants& participants) noexcept
      : word_(&word), busy_(busy), flags_(&flags), participants_(participants) {}
  OwnerLock(const OwnerLock&) = delete;
  OwnerLock& operator=(const OwnerLock&) = delete;

  // Without waiting and without taking anything from anybody: by two stores if the lock is left to this thread, else by
  // one compare-and-swap. Its acquire pairs with the release in unlock() of the holder before.
  [[nodiscard]] bool try_lock_free(ParticipantId me) noexcept {
    if (atomic(*word_).load(kRelaxed) == (me | wire::kBiased) && enter_busy(me)) [[likely]]
      return true;
    std::uint64_t free = 0;
    SHMLANE_CRASH_POINT("lock.take");
    return atomic(*word_).compare_exchange_strong(free, me, kAcquire, kRelaxed);
  }
  // As above, but takes it from a dead holder, and from a living one to whom it is left and who is not busy.
  [[nodiscard]] Locked try_lock(ParticipantId me) noexcept;
  // Spins, then sleeps in growing slices of at most 100 ms; kNo when the deadline passed.
  [[nodiscard]] Locked lock(ParticipantId me, const os::Deadline& deadline) noexcept;

  void unlock() noexcept {
    SHMLANE_CRASH_POINT("lock.give_back");
    if (inside_ != nullptr) {
      atomic(*std::exchange(inside_, nullptr)).store(0, kRelease);
    } else {
      atomic(*word_).store(0, kRelease);
    }
  }
  // As unlock(); the lock stays with this thread if nobody else wanted it for a while.
  void unlock_and_keep(ParticipantId me) noexcept {
    SHMLANE_CRASH_POINT("lock.give_back_or_keep");
    if (inside_ != nullptr) [[likely]] {
      atomic(*std::exchange(inside_, nullptr)).store(0, kRelease);
    } else {
      atomic(*word_).store(++holds_ < patience_ ? 0 : keep(me), kRelease);
    }
  }
  // In a forked child, where the parent's threads and their holds are not.
  void forget() noexcept {
    inside_ = nullptr;
    holds_ = 0;
    owner_thread_.store(nullptr, std::memory_order_relaxed);
  }
  // Who keeps others from the lock at this moment; 0: nobody.
  [[nodiscard]] ParticipantId holder() const noexcept;

 private:
  [[nodiscard]] static const void* this_thread() noexcept { return __builtin_thread_pointer(); }
  [[nodiscard]] std::uint32_t& busy(ParticipantId id) const noexcept {
    return participants_.entry(id_index(id)).*busy_;
  }
  [[nodiscard]] bool enter_busy(ParticipantId me) noexcept {
    if (owner_thread_.load(std::memory_order_relaxed) != this_thread()) return false;
    std::uint32_t& mine = *owners_busy_;
    SHMLANE_CRASH_POINT("lock.busy");
    atomic(mine).store(1, kRelaxed);
    // The processor's part of this fence is the revoker's membarrier.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (atomic(*word_).load(kAcquire) != (me | wire::kBiased)) [[unlikely]] {
      atomic(mine).store(0, kRelease);
      return false;
    }
    inside_ = &mine;
    return true;
  }
  std::uint64_t keep(ParticipantId me) noexcept;
  enum class Inside : std::uint8_t { kNobody, kLiving, kDead };
  [[nodiscard]] Inside who_is_inside(ParticipantId me) const noexcept;
  [[nodiscard]] bool alive(unsigned index, ParticipantId me) const noexcept;
  void clear_busy_of_the_dead(ParticipantId me) const noexcept;

  std::uint64_t* word_;
  Busy busy_;
  const std::uint32_t* flags_;
  Participants participants_;
  std::uint32_t* inside_ = nullptr;  // this handle's `busy` while it holds the lock by it; under the lock
  std::uint32_t holds_ = 0;          // since the lock was left to this thread last; under the lock
  std::uint32_t patience_ = 16;      // after how many it is; under the lock
  std::atomic<const void*> owner_thread_{nullptr};  // the only one to whom this handle ever leaves the lock
  std::uint32_t* owners_busy_ = nullptr;            // its flag; only for that thread
};

inline void cpu_pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace shmlane
