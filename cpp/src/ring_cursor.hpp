// SPDX-License-Identifier: Apache-2.0
// The consumers' cursors in private memory.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "ring.hpp"

namespace shmlane {

// Positions of RESERVED frames that were passed are remembered, so that one reservation that is held for long does not
// make every acquire walk all that came after it. When there are too many, the walk goes on without moving `scan`.
struct Ring::Cursor {
  Position scan = 0;
  std::size_t count = 0;
  std::array<Position, wire::kMaxSkipped> skipped;  // the first `count` of them

  [[nodiscard]] Position read() const noexcept { return count != 0 ? skipped[0] : scan; }
  void forget_position(Position position) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
      if (skipped[i] == position) forget(i--);
    }
  }
  void forget(std::size_t index) noexcept {
    std::copy(skipped.begin() + index + 1, skipped.begin() + count, skipped.begin() + index);
    --count;
  }
};

}  // namespace shmlane
