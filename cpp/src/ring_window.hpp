// SPDX-License-Identifier: Apache-2.0
// Windows of the ring: arithmetic (SPEC W-53).
//
// A ring of 32 MiB that is walked from end to end is in no cache. So it is divided into windows, and where one ends, a
// producer that finds nothing in use begins again at offset 0. All of the capacity stays there for a burst: who meets the
// end of a window while something is in use walks on.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace shmlane {

// How many bytes a window has for such frames: what the last-level cache holds, since what two cores hand to and fro comes
// quicker from there than from each other's own caches; and several frames, since producing and consuming do not overlap
// at its end. The capacity where windows would not pay: a small ring is warm anyway.
constexpr std::uint64_t window_size(std::uint64_t capacity, std::uint64_t extent) noexcept {
  constexpr std::uint64_t kLeast = std::uint64_t{8} << 20;
  constexpr std::uint64_t kFrames = 6, kFewestFrames = 2;
  if (capacity < 2 * kLeast || kFewestFrames * extent > capacity / 2) return capacity;
  return std::min(std::max(kLeast, std::bit_ceil(kFrames * extent)), capacity / 2);
}

// Whether such a frame at this offset would begin at the end of a window, or cross it.
constexpr bool ends_window(std::uint64_t capacity, std::uint64_t offset, std::uint64_t extent) noexcept {
  const std::uint64_t size = window_size(capacity, extent);
  return size != capacity && offset != 0 && (offset - 1) % size + 1 + extent > size;
}

}  // namespace shmlane
