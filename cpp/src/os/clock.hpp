// SPDX-License-Identifier: Apache-2.0
// Time: the monotonic clock for every wait, the wall clock only for people.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>

namespace shmlane::os {

std::int64_t monotonic_ns() noexcept;
std::uint64_t unix_time_ns() noexcept;
void sleep_ns(std::int64_t duration) noexcept;

// A moment on the monotonic clock, or never.
class Deadline {
 public:
  explicit Deadline(std::optional<std::chrono::nanoseconds> timeout) noexcept {
    if (!timeout) return;
    if (timeout->count() <= 0) {
      at_ = kPast;
      return;
    }
    const std::int64_t now = monotonic_ns();
    if (timeout->count() < kNever - now) at_ = now + timeout->count();
  }

  // True for a time-out of zero: do not even look at the clock.
  [[nodiscard]] bool immediate() const noexcept { return at_ == kPast; }
  [[nodiscard]] bool passed() const noexcept { return at_ != kNever && (at_ == kPast || monotonic_ns() >= at_); }
  // The earlier of the deadline and `slice` nanoseconds from now, on the monotonic clock.
  [[nodiscard]] std::int64_t slice_end(std::int64_t slice) const noexcept {
    const std::int64_t end = monotonic_ns() + slice;
    return end < at_ ? end : at_;
  }

 private:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
  static constexpr std::int64_t kPast = std::numeric_limits<std::int64_t>::min();
  std::int64_t at_ = kNever;
};

}  // namespace shmlane::os
