// SPDX-License-Identifier: Apache-2.0
// A lock that outlives its holder: one word that names its owner, taken over when the owner is dead (SPEC 5.1).
//
// Nobody steals from the living: a holder that is merely stopped keeps everybody waiting, as long as they asked.
#pragma once

#include <cstdint>

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

class OwnerLock {
 public:
  explicit OwnerLock(std::uint64_t& word) noexcept : word_(&word) {}

  // One compare-and-swap. Its acquire pairs with the release in unlock() of the holder before.
  [[nodiscard]] bool try_lock_free(ParticipantId me) const noexcept {
    std::uint64_t free = 0;
    SHMLANE_CRASH_POINT("lock.take");
    return atomic(*word_).compare_exchange_strong(free, me, kAcquire, kRelaxed);
  }
  // As above, but takes it from a dead holder, too.
  [[nodiscard]] Locked try_lock(ParticipantId me, const Participants& participants) const noexcept;
  // Spins, then sleeps in growing slices of at most 100 ms; kNo when the deadline passed.
  [[nodiscard]] Locked lock(ParticipantId me, const Participants& participants, const os::Deadline& deadline) const;

  void unlock() const noexcept {
    SHMLANE_CRASH_POINT("lock.give_back");
    atomic(*word_).store(0, kRelease);
  }
  [[nodiscard]] ParticipantId holder() const noexcept { return atomic(*word_).load(kRelaxed); }

 private:
  std::uint64_t* word_;
};

inline void cpu_pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace shmlane
