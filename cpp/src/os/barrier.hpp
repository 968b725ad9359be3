// SPDX-License-Identifier: Apache-2.0
// Store-then-load order between publishers and sleepers: the sleeper imposes it on everybody with membarrier(2), so
// that a publisher pays nothing (W-32).
#pragma once

#include <atomic>

namespace shmlane::os {

// Registers this process to receive expedited barriers; false where kernel or container refuse. Again after a fork.
bool register_barrier() noexcept;

// A full barrier on every running thread of every registered process; false where kernel or container refuse.
bool impose_barrier() noexcept;

inline void full_fence() noexcept {
#if !defined(SHMLANE_TSAN)  // it understands no fences; in its build every access is sequentially consistent instead
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

}  // namespace shmlane::os
