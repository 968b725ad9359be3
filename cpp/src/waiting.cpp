// SPDX-License-Identifier: Apache-2.0
// Announcing, sleeping, withdrawing; the numbers refer to the steps in waiting.hpp.
#include "waiting.hpp"

#include "crash_point.hpp"

namespace shmlane {

bool WaitPlace::take_back() noexcept {
  std::uint64_t count = atomic(*waiters_).load(kRelaxed);
  while (count != 0) {
    SHMLANE_CRASH_POINT("waiting.take_back");
    if (atomic(*waiters_).compare_exchange_weak(count, count - 1, kAcquireRelease, kRelaxed)) return true;
  }
  return false;
}

void WaitPlace::post_one() noexcept {
  if (!take_back()) return;
  SHMLANE_CRASH_POINT("waiting.post");
  semaphore_.post();
}

void WaitPlace::wake_all() noexcept {
  os::full_fence();
  // As many as there are now: somebody who announces itself anew meanwhile has looked after our publication.
  for (std::uint64_t count = atomic(*waiters_).load(kRelaxed); count != 0 && count <= 65536; --count) post_one();
}

void WaitPlace::Sleeper::announce() noexcept {
  if (announced_) return;
  int owed = place_.owed_.load(kRelaxed);
  while (owed > 0 && !place_.owed_.compare_exchange_weak(owed, owed - 1, kRelaxed)) {
  }
  owed_ = owed > 0;
  if (!owed_) {
    SHMLANE_CRASH_POINT("waiting.announce");
    atomic(*place_.waiters_).fetch_add(1, kAcquireRelease);
  }
  announced_ = true;
  if (place_.full_fence()) {
    os::full_fence();
  } else {
    static_cast<void>(os::impose_barrier());
  }
}

os::SemaphoreWait WaitPlace::Sleeper::sleep(std::int64_t until_ns) noexcept {
  SHMLANE_CRASH_POINT("waiting.sleep");
  const os::SemaphoreWait result = place_.semaphore_.wait_until(until_ns);
  SHMLANE_CRASH_POINT("waiting.awake");
  // A debt that is not paid within a slice never will be: its sender died between taking back and posting.
  if (result == os::SemaphoreWait::kTaken || (owed_ && result == os::SemaphoreWait::kTimedOut)) announced_ = false;
  return result;
}

WaitPlace::Sleeper::~Sleeper() {
  if (!announced_ || place_.take_back()) return;
  SHMLANE_CRASH_POINT("waiting.token");
  if (place_.semaphore_.try_wait()) return;
  place_.owed_.fetch_add(1, kRelaxed);
}

}  // namespace shmlane
