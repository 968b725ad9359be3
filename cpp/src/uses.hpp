// SPDX-License-Identifier: Apache-2.0
// How many still use a handle: the open handle itself, and what is under way or held by it. The participant leaves with
// the last one.
#pragma once

#include <sys/single_threaded.h>

#include <atomic>
#include <cstdint>

namespace shmlane {

// Begins with one: the open handle. Thread-safe; a locked instruction only if there are other threads.
class Uses {
 public:
  // What is left after it.
  std::uint32_t add(std::uint32_t change) noexcept {
    if (!__libc_single_threaded) return count_.fetch_add(change, std::memory_order_seq_cst) + change;
    const std::uint32_t sum = count_.load(std::memory_order_relaxed) + change;
    count_.store(sum, std::memory_order_relaxed);
    return sum;
  }
  // In a forked child: what the parent's threads had under way is not under way there.
  void forget() noexcept { count_.store(1, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint32_t> count_{1};
};

}  // namespace shmlane
