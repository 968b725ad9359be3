// SPDX-License-Identifier: Apache-2.0
// The memory through which workers tell the driver what they did; benchmarks/harness.py reads the same layout.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "workload.hpp"

namespace bench {

constexpr std::size_t kMaxWorkers = 512;
constexpr std::size_t kMaxTimes = 1 << 20;

// One line that one worker writes and the driver samples.
struct alignas(64) Meter {
  std::uint64_t objects;
  std::uint64_t bytes;
  std::uint64_t sum;
  std::uint64_t pid;
};

// What one worker per run may record; from kMaxTimes on it begins again.
struct alignas(64) Times {
  std::uint64_t count;
  std::uint64_t unused[7];
  std::int64_t ns[kMaxTimes];
};

struct Board {
  Meter meters[kMaxWorkers];
  Times times;
};

// Stores that the driver shall see: the compiler may not keep them in a register.
inline void publish(std::uint64_t& counter, std::uint64_t value) noexcept {
  *const_cast<volatile std::uint64_t*>(&counter) = value;
}

// Counts one object into the meter, after reading every byte of it.
inline void count(Meter& meter, std::span<const std::byte> payload) noexcept {
  meter.sum += sum(payload);
  meter.bytes += payload.size();
  publish(meter.objects, meter.objects + 1);
}

inline void record(Times& times, std::int64_t ns) noexcept {
  times.ns[times.count % kMaxTimes] = ns;
  publish(times.count, times.count + 1);
}

inline std::int64_t now_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Board& map_board(const std::string& path);
void pause_for(std::int64_t nanoseconds) noexcept;
// The calling process runs on this core only, and dies with its parent.
void settle(unsigned core) noexcept;

}  // namespace bench
