// SPDX-License-Identifier: Apache-2.0
// Listening and waking; the numbers refer to the steps in bell.hpp.
#include "bell.hpp"

#include "crash_point.hpp"

namespace shmlane {

os::FutexWord Bell::listen() noexcept {
  SHMLANE_CRASH_POINT("bell.listen");
  // Pairs with the compare-and-swap in wake().
  const std::uint64_t heard = atomic(*word_).fetch_or(1, kAcquireRelease) | 1;
  if (full_fence()) {
    os::full_fence();
  } else {
    static_cast<void>(os::impose_barrier());
  }
  return {word_, heard};
}

os::FutexWait Bell::sleep(const os::FutexWord& heard, std::int64_t until_ns) noexcept {
  SHMLANE_CRASH_POINT("bell.sleep");
  return os::futex_wait(heard, until_ns);
}

void Bell::wake() noexcept {
  std::uint64_t heard = atomic(*word_).load(kRelaxed);
  while ((heard & 1) != 0) {
    SHMLANE_CRASH_POINT("bell.even");
    if (!atomic(*word_).compare_exchange_weak(heard, heard + 1, kAcquireRelease, kRelaxed)) continue;
    // A death right here leaves the sleepers to the ends of their slices.
    SHMLANE_CRASH_POINT("bell.wake");
    os::futex_wake_all(*word_);
    return;
  }
}

}  // namespace shmlane
