// SPDX-License-Identifier: Apache-2.0
// The one CUDA kernel of the library: any strides into C order. Loaded by the driver; no CUDA runtime is needed.
#include "gather.hpp"

namespace {

// One thread for each word, in steps of the whole grid; the innermost dimension changes fastest, so that stores of
// neighbours lie together.
template <class Word>
__device__ void gather(const shmlane::cuda::GatherPlan& plan) {
  const std::uint64_t step = std::uint64_t{gridDim.x} * blockDim.x;
  for (std::uint64_t at = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; at < plan.words; at += step) {
    std::uint64_t rest = at;
    std::int64_t offset = 0;
    for (int i = plan.dimensions - 1; i > 0; --i) {
      offset += static_cast<std::int64_t>(rest % plan.shape[i]) * plan.strides[i];
      rest /= plan.shape[i];
    }
    if (plan.dimensions > 0) offset += static_cast<std::int64_t>(rest) * plan.strides[0];
    reinterpret_cast<Word*>(plan.out)[at] = *reinterpret_cast<const Word*>(plan.in + static_cast<std::uint64_t>(offset));
  }
}

}  // namespace

extern "C" {
__global__ void shmlane_gather_1(shmlane::cuda::GatherPlan plan) { gather<unsigned char>(plan); }
__global__ void shmlane_gather_2(shmlane::cuda::GatherPlan plan) { gather<unsigned short>(plan); }
__global__ void shmlane_gather_4(shmlane::cuda::GatherPlan plan) { gather<unsigned int>(plan); }
__global__ void shmlane_gather_8(shmlane::cuda::GatherPlan plan) { gather<uint2>(plan); }
__global__ void shmlane_gather_16(shmlane::cuda::GatherPlan plan) { gather<uint4>(plan); }
}
