// SPDX-License-Identifier: Apache-2.0
// Memory of a GPU for other processes, without a queue around it.
#include <string>
#include <utility>

#include "cuda/allocation.hpp"
#include "cuda/mapping.hpp"
#include "cuda_placement.hpp"
#include "shmlane/cuda_allocation.hpp"
#include "shmlane/error.hpp"

namespace shmlane::cuda {

SharedAllocation SharedAllocation::create(int device, std::uint64_t nbytes, std::string_view purpose) {
  const std::shared_ptr<Allocation> allocation =
      Allocation::make(os::cuda::device(device), nbytes, std::string(purpose));
  SharedAllocation shared;
  shared.memory_ = std::shared_ptr<void>(allocation.get(), [allocation](void*) { Allocation::recycle(allocation); });
  shared.data_ = allocation->base();
  shared.nbytes_ = allocation->size();
  shared.device_ = device;
  return shared;
}

SharedAllocation SharedAllocation::open(const Json& metadata, std::span<const std::byte> payload,
                                        const std::function<void()>& meanwhile) {
  const CudaPlacement placement = CudaPlacement::read(metadata, payload);
  SharedAllocation shared;
  if (const std::shared_ptr<Allocation> allocation = Allocation::find(placement.allocation)) {
    shared.memory_ = allocation;
    shared.data_ = allocation->base();
    shared.nbytes_ = allocation->size();
    shared.device_ = allocation->device().ordinal();
  } else {
    const std::shared_ptr<Mapping> mapping = Mapping::open(placement, meanwhile);
    shared.memory_ = mapping;
    shared.data_ = mapping->base();
    shared.nbytes_ = mapping->size();
    shared.device_ = mapping->device().ordinal();
  }
  if (placement.offset > shared.nbytes_ || placement.bytes > shared.nbytes_ - placement.offset) {
    throw Corrupt("an array of a GPU is said to lie outside of its exporter's memory");
  }
  return shared;
}

Json SharedAllocation::metadata(const DType& dtype, const Dims& shape, std::uint64_t offset,
                                std::uint64_t exporter) const {
  const auto& allocation = *static_cast<const Allocation*>(memory_.get());
  const DeviceView view = DeviceView::contiguous(dtype, shape, 0, device_);
  CudaPlacement placement;
  placement.sharing = allocation.sharing();
  placement.device = allocation.device().uuid();
  placement.dtype = dtype;
  placement.shape = shape;
  placement.strides = view.strides;
  placement.allocation = allocation.id();
  placement.exporter = exporter;
  placement.pid = os::cuda::process_id();
  placement.offset = offset;
  placement.bytes = view.nbytes();
  return placement.metadata();
}

std::array<std::byte, Slot::kPayloadSize> SharedAllocation::payload() const {
  CudaPlacement placement;  // its event: none, as every value is complete
  placement.memory = static_cast<const Allocation*>(memory_.get())->handle();
  return placement.payload();
}

}  // namespace shmlane::cuda
