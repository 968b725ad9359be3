// SPDX-License-Identifier: Apache-2.0
// What a gather is told: words of any strides that are to lie in C order. Shared by host and device.
#pragma once

#include <cstdint>

namespace shmlane::cuda {

inline constexpr int kGatherDimensions = 12;  // after neighbours that lie together were joined

struct GatherPlan {
  std::uint64_t in;   // address of the first word
  std::uint64_t out;  // address
  std::uint64_t words;
  std::int32_t dimensions;
  std::int32_t word;  // bytes: 1, 2, 4, 8 or 16
  std::uint64_t shape[kGatherDimensions];
  std::int64_t strides[kGatherDimensions];  // bytes
};

}  // namespace shmlane::cuda
