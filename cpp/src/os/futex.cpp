// SPDX-License-Identifier: Apache-2.0
// futex(2), which glibc does not wrap.
#include "os/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <ctime>
#include <exception>
#include <thread>
#include <vector>

#include "os/clock.hpp"

namespace shmlane::os {
namespace {

constexpr long kFutexWaitv = 449;  // the same on every architecture; older headers lack it

struct Waiter {  // futex_waitv of <linux/futex.h>, which older headers lack
  std::uint64_t value;
  std::uint64_t address;
  std::uint32_t flags;
  std::uint32_t reserved;
};
constexpr std::uint32_t kFutex32Bits = 2;
constexpr std::int64_t kPauseNs = 50'000;

timespec time_of(std::int64_t ns) noexcept { return {ns / 1'000'000'000, ns % 1'000'000'000}; }

// Where the kernel has no such call: a thread for each word.
FutexWait wait_in_threads(std::span<const FutexWord> futexes, std::int64_t until_ns) noexcept {
  std::uint64_t woken = 0;  // the low half is a futex of this process
  std::atomic<std::size_t> asleep{0};
  std::vector<std::thread> sleepers;
  FutexWait result = FutexWait::kUnsupported;
  try {
    sleepers.reserve(futexes.size());
    for (const FutexWord& futex : futexes) {
      sleepers.emplace_back([&woken, &asleep, futex, until_ns] {
        if (futex_wait(futex, until_ns) != FutexWait::kTimedOut) {
          std::atomic_ref(woken).store(1);
          futex_wake_all(woken);
        }
        asleep.fetch_sub(1);
      });
      asleep.fetch_add(1);
    }
    result = futex_wait({&woken, 0}, until_ns);
  } catch (const std::exception&) {  // no more threads, or no memory
    result = FutexWait::kUnsupported;
  }
  // Again and again: who is just about to sleep hears no call. To other processes this is a needless ring.
  while (asleep.load() != 0) {
    for (const FutexWord& futex : futexes) futex_wake_all(*futex.word);
    sleep_ns(kPauseNs);
  }
  for (std::thread& sleeper : sleepers) sleeper.join();
  return result;
}

FutexWait outcome(long result) noexcept {
  if (result >= 0 || errno == EAGAIN) return FutexWait::kWoken;
  if (errno == EINTR) return FutexWait::kInterrupted;
  return errno == ETIMEDOUT ? FutexWait::kTimedOut : FutexWait::kUnsupported;
}

}  // namespace

FutexWait futex_wait(const FutexWord& futex, std::int64_t until_ns) noexcept {
  const timespec until = time_of(until_ns);
  // This form of the call takes a moment of the monotonic clock, the plain one a duration.
  return outcome(::syscall(SYS_futex, futex.word, FUTEX_WAIT_BITSET, static_cast<std::uint32_t>(futex.seen), &until,
                           nullptr, FUTEX_BITSET_MATCH_ANY));
}

FutexWait futex_wait_any(std::span<const FutexWord> futexes, std::int64_t until_ns) noexcept {
  std::array<Waiter, kMostFutexes> waiters{};
  for (std::size_t i = 0; i < futexes.size(); ++i) {
    waiters[i] = {.value = static_cast<std::uint32_t>(futexes[i].seen),
                  .address = reinterpret_cast<std::uintptr_t>(futexes[i].word),
                  .flags = kFutex32Bits,
                  .reserved = 0};
  }
  const timespec until = time_of(until_ns);
  const FutexWait result = outcome(::syscall(kFutexWaitv, waiters.data(), futexes.size(), 0, &until, CLOCK_MONOTONIC));
  return result == FutexWait::kUnsupported ? wait_in_threads(futexes, until_ns) : result;
}

void futex_wake_all(std::uint64_t& word) noexcept {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace shmlane::os
