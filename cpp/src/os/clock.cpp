// SPDX-License-Identifier: Apache-2.0
// Time from clock_gettime.
#include "os/clock.hpp"

#include <ctime>

namespace shmlane::os {
namespace {

std::int64_t read_clock(clockid_t clock) noexcept {
  timespec now{};
  ::clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

std::int64_t monotonic_ns() noexcept { return read_clock(CLOCK_MONOTONIC); }

std::uint64_t unix_time_ns() noexcept { return static_cast<std::uint64_t>(read_clock(CLOCK_REALTIME)); }

void sleep_ns(std::int64_t duration) noexcept {
  const timespec time{duration / 1'000'000'000, duration % 1'000'000'000};
  ::clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
}

}  // namespace shmlane::os
