// SPDX-License-Identifier: Apache-2.0
// The word by which a stream's writer makes a value the newest (W-126).
#pragma once

#include <cstdint>

namespace shmlane {

// {slot: 8, count: 56}
struct Published {
  std::uint64_t count;
  std::uint32_t slot;

  static constexpr Published unpack(std::uint64_t word) noexcept {
    return {word >> 8, static_cast<std::uint32_t>(word & 0xff)};
  }
  [[nodiscard]] constexpr std::uint64_t pack() const noexcept { return count << 8 | slot; }
};

}  // namespace shmlane
