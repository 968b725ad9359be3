// SPDX-License-Identifier: Apache-2.0
// The checksum of an array where it lies, also in another process's memory: that a CUDA kernel can read what crossed.
#include "checksum.hpp"

extern "C" __global__ void shmlane_test_checksum(cuda_tests::ChecksumPlan plan) {
  const std::uint64_t step = std::uint64_t{gridDim.x} * blockDim.x;
  const auto* const words = reinterpret_cast<const std::uint64_t*>(plan.in);
  unsigned long long sum = 0;
  for (std::uint64_t at = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; at < plan.words; at += step) {
    sum += cuda_tests::checksum_of(words[at], at);
  }
  atomicAdd(reinterpret_cast<unsigned long long*>(plan.out), sum);
}
