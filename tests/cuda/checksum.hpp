// SPDX-License-Identifier: Apache-2.0
// A sum of an array's words that tells of each one that is missing, changed, or at another place. For host and device.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define SHMLANE_EVERYWHERE __host__ __device__
#else
#define SHMLANE_EVERYWHERE
#endif

namespace cuda_tests {

struct ChecksumPlan {
  std::uint64_t in;     // address of the first word
  std::uint64_t words;  // of 8 bytes
  std::uint64_t out;    // address of the sum, which is added to
};

// Odd factors lose nothing, so each word counts in full; sums come out the same in any order.
SHMLANE_EVERYWHERE constexpr std::uint64_t checksum_of(std::uint64_t word, std::uint64_t at) {
  return word * (2 * at + 1);
}

}  // namespace cuda_tests
