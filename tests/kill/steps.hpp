// SPDX-License-Identifier: Apache-2.0
// The crash points that the sources name: who passes them how often, and who is to die at which.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

#include "world.hpp"

namespace kill_tests {

inline constexpr std::size_t kMostPoints = 256;

const std::vector<std::string>& points();
// Whether only streams and tensors pass it.
bool of_arrays(std::size_t point);

// What a victim passed, and where it is to die; in memory that it shares with who watches it.
struct Steps {
  std::array<std::atomic<unsigned>, kMostPoints> passes{};
  std::atomic<std::size_t> fatal{kMostPoints};
  std::atomic<unsigned> fatal_pass{0};
  // From now on observed() counts here, and dies at that pass of that point; kMostPoints: nowhere.
  void watch(std::size_t point, unsigned pass);
};

// Runs the act as the one who is watched.
void observed(const Act& act);

}  // namespace kill_tests
