// SPDX-License-Identifier: Apache-2.0
// futex(2) between processes: many sleep on one word of shared memory, and one call wakes them all. Boost.Interprocess has
// nothing of the kind, and a semaphore gives one token to whoever is quickest.
#pragma once

#include <cstdint>
#include <span>

namespace shmlane::os {

// The low half of a 64-bit word is what the kernel compares.
struct FutexWord {
  std::uint64_t* word;
  std::uint64_t seen;
};

enum class FutexWait : std::uint8_t { kWoken, kTimedOut, kInterrupted, kUnsupported };

// Sleeps while the word is what was seen, until `until_ns` of the monotonic clock. May wake without a reason.
FutexWait futex_wait(const FutexWord& futex, std::int64_t until_ns) noexcept;
// The same with several words, at most kMostFutexes; wakes when one of them is woken or has changed. On Linux before 5.16
// it starts a thread for each, and is kUnsupported only if that cannot be.
FutexWait futex_wait_any(std::span<const FutexWord> futexes, std::int64_t until_ns) noexcept;
void futex_wake_all(std::uint64_t& word) noexcept;

inline constexpr std::size_t kMostFutexes = 128;

}  // namespace shmlane::os
