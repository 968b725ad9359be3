// SPDX-License-Identifier: Apache-2.0
// The sum, compiled for what the processor has.
#include "workload.hpp"

#include <cstring>

namespace bench {

__attribute__((target_clones("avx512f", "avx2", "default"))) std::uint64_t sum(
    std::span<const std::byte> bytes) noexcept {
  constexpr std::size_t kLanes = 32;
  const std::byte* at = bytes.data();
  std::uint64_t lanes[kLanes] = {};
  std::size_t left = bytes.size();
  for (; left >= kLanes * 8; left -= kLanes * 8, at += kLanes * 8) {
    std::uint64_t words[kLanes];
    std::memcpy(words, at, sizeof words);
    for (std::size_t i = 0; i < kLanes; ++i) lanes[i] += words[i];
  }
  std::uint64_t total = 0;
  for (const std::uint64_t lane : lanes) total += lane;
  for (; left >= 8; left -= 8, at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    total += word;
  }
  for (; left > 0; --left, ++at) total += static_cast<std::uint64_t>(*at);
  return total;
}

}  // namespace bench
