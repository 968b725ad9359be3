// SPDX-License-Identifier: Apache-2.0
// The slow ways into an owner-word lock.
#include "lock.hpp"

#include <algorithm>

#include "crash_point.hpp"
#include "os/process.hpp"

namespace shmlane {
namespace {

constexpr int kSpins = 200;
constexpr int kYields = 20;
constexpr std::int64_t kFirstSlice = 50'000;
constexpr std::int64_t kLongestSlice = 100'000'000;

}  // namespace

Locked OwnerLock::try_lock(ParticipantId me, const Participants& participants) const noexcept {
  if (try_lock_free(me)) return Locked::kYes;
  ParticipantId holder = this->holder();
  if (holder == 0) return try_lock_free(me) ? Locked::kYes : Locked::kNo;
  if (participants.alive(holder, me)) return Locked::kNo;
  SHMLANE_CRASH_POINT("lock.take_over");
  // An id is never used twice, so whoever finds the same dead id there takes it from nobody else.
  return atomic(*word_).compare_exchange_strong(holder, me, kAcquire, kRelaxed) ? Locked::kFromDead : Locked::kNo;
}

Locked OwnerLock::lock(ParticipantId me, const Participants& participants, const os::Deadline& deadline) const {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (holder() == 0 && try_lock_free(me)) return Locked::kYes;
    cpu_pause();
  }
  for (int i = 0; i < kYields; ++i) {
    os::yield_core();
    if (try_lock_free(me)) return Locked::kYes;
  }
  for (std::int64_t slice = kFirstSlice;; slice = std::min(2 * slice, kLongestSlice)) {
    const Locked result = try_lock(me, participants);
    if (result != Locked::kNo) return result;
    if (deadline.passed()) return Locked::kNo;
    os::sleep_ns(std::max<std::int64_t>(0, deadline.slice_end(slice) - os::monotonic_ns()));
  }
}

}  // namespace shmlane
