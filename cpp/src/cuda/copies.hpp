// SPDX-License-Identifier: Apache-2.0
// Copies on a device, of any strides, given to a CUDA stream.
#pragma once

#include "cuda/gather.hpp"
#include "os/cuda/device.hpp"
#include "shmlane/cuda.hpp"

namespace shmlane::cuda {

// Copies the items of `from` to `out`, in C order. To be used under Current. Throws InvalidArgument, UnsupportedType.
void copy_items(os::cuda::Device& device, const DeviceView& from, CUdeviceptr out, CUstream stream);

// The largest words in which the items can be moved, and as few dimensions as can be. Throws UnsupportedType for more
// than kGatherDimensions.
GatherPlan plan_gather(const DeviceView& from, std::uint64_t out);

// Throws InvalidArgument unless it has one stride per dimension and, if it is not empty, a place. The view as it may be
// used: strides of an empty array mean nothing.
void check_view(const DeviceView& view);

}  // namespace shmlane::cuda
