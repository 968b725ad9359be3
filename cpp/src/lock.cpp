// SPDX-License-Identifier: Apache-2.0
// The slow ways into an owner-word lock.
#include "lock.hpp"

#include <algorithm>

#include "crash_point.hpp"
#include "os/barrier.hpp"
#include "os/process.hpp"

namespace shmlane {
namespace {

constexpr int kSpins = 200;
constexpr int kYields = 20;
constexpr std::int64_t kFirstSlice = 50'000;
constexpr std::int64_t kLongestSlice = 100'000'000;
constexpr std::int64_t kStoresArrive = 20'000'000;  // far longer than a store stays in a processor's buffer
constexpr std::uint32_t kLongestPatience = 1 << 16;

}  // namespace

// Only for the thread that first did so: the word does not say which thread of a participant is meant.
std::uint64_t OwnerLock::keep(ParticipantId me) noexcept {
  holds_ = 0;
  const void* owner = nullptr;
  const bool ours =
      owner_thread_.compare_exchange_strong(owner, this_thread(), std::memory_order_relaxed) || owner == this_thread();
  if (!ours || (atomic(*flags_).load(kRelaxed) & wire::kFlagFullFence) != 0) return 0;
  patience_ = std::min(8 * patience_, kLongestPatience);  // a revocation costs as much as some hundred turns
  owners_busy_ = &busy(me);
  SHMLANE_CRASH_POINT("lock.keep");
  return me | wire::kBiased;
}

OwnerLock::Inside OwnerLock::who_is_inside(ParticipantId me) const noexcept {
  Inside found = Inside::kNobody;
  for (unsigned index = 0, end = participants_.used(); index < end; ++index) {
    wire::ParticipantEntry& entry = participants_.entry(index);
    // Pairs with the release store in unlock() of whoever was inside.
    if (atomic(entry.*busy_).load(kAcquire) == 0) continue;
    if (alive(index, me)) return Inside::kLiving;
    found = Inside::kDead;
  }
  return found;
}

bool OwnerLock::alive(unsigned index, ParticipantId me) const noexcept {
  return participants_.alive(make_id(index, participants_.word(index).generation), me);
}

// Only once it is certain that we are inside: whoever comes after us must find what the dead left, if we go again.
void OwnerLock::clear_busy_of_the_dead(ParticipantId me) const noexcept {
  for (unsigned index = 0, end = participants_.used(); index < end; ++index) {
    wire::ParticipantEntry& entry = participants_.entry(index);
    if (atomic(entry.*busy_).load(kRelaxed) == 0 || alive(index, me)) continue;
    SHMLANE_CRASH_POINT("lock.clear_busy");
    atomic(entry.*busy_).store(0, kRelaxed);
  }
}

Locked OwnerLock::try_lock(ParticipantId me) noexcept {
  if (try_lock_free(me)) return Locked::kYes;
  std::uint64_t seen = atomic(*word_).load(kRelaxed);
  if (seen == 0) return try_lock_free(me) ? Locked::kYes : Locked::kNo;
  const bool kept = (seen & wire::kBiased) != 0;
  if (!kept && participants_.alive(seen, me)) return Locked::kNo;
  SHMLANE_CRASH_POINT("lock.take_over");
  // An id is never used twice, so whoever finds the same dead id there takes it from nobody else.
  if (!atomic(*word_).compare_exchange_strong(seen, me, kAcquire, kRelaxed)) return Locked::kNo;
  if (!os::impose_barrier()) os::sleep_ns(kStoresArrive);
  Inside inside = Inside::kNobody;
  for (int spin = 0; spin < kSpins && (inside = who_is_inside(me)) == Inside::kLiving; ++spin) cpu_pause();
  if (inside == Inside::kLiving) {
    // Stopped in there, or put off its core. As if we had not come.
    SHMLANE_CRASH_POINT("lock.leave_alone");
    atomic(*word_).store(seen, kRelease);
    return Locked::kNo;
  }
  if (inside == Inside::kDead) clear_busy_of_the_dead(me);
  return kept && inside == Inside::kNobody ? Locked::kYes : Locked::kFromDead;
}

Locked OwnerLock::lock(ParticipantId me, const os::Deadline& deadline) noexcept {
  for (int spin = 0; spin < kSpins; ++spin) {
    const std::uint64_t seen = atomic(*word_).load(kRelaxed);
    if (seen == 0 && try_lock_free(me)) return Locked::kYes;
    if ((seen & wire::kBiased) != 0) break;
    cpu_pause();
  }
  for (int i = 0; i < kYields; ++i) {
    if ((atomic(*word_).load(kRelaxed) & wire::kBiased) != 0) break;
    os::yield_core();
    if (try_lock_free(me)) return Locked::kYes;
  }
  for (std::int64_t slice = kFirstSlice;; slice = std::min(2 * slice, kLongestSlice)) {
    const Locked result = try_lock(me);
    if (result != Locked::kNo) return result;
    if (deadline.passed()) return Locked::kNo;
    os::sleep_ns(std::max<std::int64_t>(0, deadline.slice_end(slice) - os::monotonic_ns()));
  }
}

ParticipantId OwnerLock::holder() const noexcept {
  const std::uint64_t word = atomic(*word_).load(kRelaxed);
  if ((word & wire::kBiased) == 0) return word;
  const ParticipantId owner = word & ~wire::kBiased;
  return id_index(owner) < wire::kMaxParticipants && atomic(busy(owner)).load(kRelaxed) != 0 ? owner : 0;
}

}  // namespace shmlane
