// SPDX-License-Identifier: Apache-2.0
// Memory of a GPU for other processes, without a queue around it.
#include <string>
#include <utility>

#include "cuda/memory.hpp"
#include "cuda_placement.hpp"
#include "shmlane/cuda_block.hpp"
#include "shmlane/error.hpp"

namespace shmlane::cuda {

SharedBlock SharedBlock::create(int device, std::uint64_t nbytes, std::string_view purpose) {
  const std::shared_ptr<Block> block = Block::make(os::cuda::device(device), nbytes, std::string(purpose));
  SharedBlock shared;
  shared.memory_ = std::shared_ptr<void>(block.get(), [block](void*) { Block::recycle(block); });
  shared.data_ = block->base();
  shared.nbytes_ = block->size();
  shared.device_ = device;
  return shared;
}

SharedBlock SharedBlock::open(const Json& metadata, std::span<const std::byte> payload) {
  const CudaPlacement placement = CudaPlacement::read(metadata, payload);
  SharedBlock shared;
  if (const std::shared_ptr<Block> block = Block::find(placement.block)) {
    shared.memory_ = block;
    shared.data_ = block->base();
    shared.nbytes_ = block->size();
    shared.device_ = block->device().ordinal();
  } else {
    os::cuda::Device& device = os::cuda::device(placement.device);
    const std::shared_ptr<Mapping> mapping = Mapping::open(device, placement.block, placement.memory);
    shared.memory_ = mapping;
    shared.data_ = mapping->base();
    shared.nbytes_ = mapping->size();
    shared.device_ = device.ordinal();
  }
  if (placement.offset > shared.nbytes_ || placement.bytes > shared.nbytes_ - placement.offset) {
    throw Corrupt("an array of a GPU is said to lie outside of its exporter's memory");
  }
  return shared;
}

Json SharedBlock::metadata(const DType& dtype, const Dims& shape, std::uint64_t offset, std::uint64_t exporter) const {
  const auto& block = *static_cast<const Block*>(memory_.get());
  const DeviceView view = DeviceView::contiguous(dtype, shape, 0, device_);
  CudaPlacement placement;
  placement.device = block.device().uuid();
  placement.dtype = dtype;
  placement.shape = shape;
  placement.strides = view.strides;
  placement.block = block.id();
  placement.exporter = exporter;
  placement.pid = os::cuda::process_id();
  placement.offset = offset;
  placement.bytes = view.nbytes();
  return placement.metadata();
}

std::array<std::byte, Slot::kPayloadSize> SharedBlock::payload() const {
  CudaPlacement placement;
  placement.memory = static_cast<const Block*>(memory_.get())->handle();
  return placement.payload();
}

}  // namespace shmlane::cuda
