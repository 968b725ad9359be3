// SPDX-License-Identifier: Apache-2.0
// Handing over memory of a GPU as a file descriptor, to whoever can read the frames that tell of it (W-152, W-153).
//
// A thread of the exporter sleeps until somebody asks. It knows nothing of CUDA and of segments: who shows the key of an
// allocation gets its descriptor, and the key stands in the frames alone, so the segment's permissions are those of the
// memory, too, across namespaces of users as well. The thread begins with the first allocation that is offered and ends
// with the last one.
#pragma once

#include <cstdint>
#include <functional>

#include "cuda_placement.hpp"
#include "os/cuda/descriptor_socket.hpp"

namespace shmlane::cuda {

using AllocationId = std::uint64_t;  // random

// Hands out the descriptor from now on, until the offer is withdrawn; it must live as long. What others ask with.
// Throws DeviceFailed.
CudaPlacement::Handle offer(AllocationId id, const os::cuda::Descriptor& descriptor, std::uint64_t size);
void withdraw(AllocationId id) noexcept;

struct HandedOver {
  os::cuda::Descriptor descriptor;
  std::uint64_t size;
};
// Asks the exporter. `meanwhile`: see os::cuda::ask. Throws DeviceFailed.
HandedOver ask_for(AllocationId id, const CudaPlacement::Handle& handle, const std::function<void()>& meanwhile);

}  // namespace shmlane::cuda
