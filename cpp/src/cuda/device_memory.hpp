// SPDX-License-Identifier: Apache-2.0
// What keeps a DeviceArray's memory, and what must be over before it goes.
#pragma once

#include <memory>
#include <utility>

#include "cuda/uses.hpp"
#include "shmlane/cuda.hpp"

namespace shmlane::cuda {

// Thread-safe.
class Memory {
 public:
  Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  virtual ~Memory() = default;
  virtual void used_on(Stream stream) = 0;
};

class OwnedMemory final : public Memory {
 public:
  OwnedMemory(os::cuda::Device& device, std::uint64_t size) : owned_(device, size) {}
  [[nodiscard]] CUdeviceptr data() const noexcept { return owned_.data(); }
  void used_on(Stream stream) override { owned_.used_on(static_cast<CUstream>(stream)); }

 private:
  Owned owned_;
};

// Somebody else's memory, who sees to its end.
class LentMemory final : public Memory {
 public:
  explicit LentMemory(std::shared_ptr<void> keep) : keep_(std::move(keep)) {}
  void used_on(Stream) override {}

 private:
  std::shared_ptr<void> keep_;
};

// Another process's memory, as long as `keep` holds the frame that carried it.
class HeldMemory final : public Memory {
 public:
  HeldMemory(os::cuda::Device& device, std::shared_ptr<void> allocation, std::shared_ptr<void> keep)
      : uses_(device), allocation_(std::move(allocation)), keep_(std::move(keep)) {}
  // The exporter fills the memory again as soon as the frame is given back: so the work on it must be over before.
  ~HeldMemory() override { uses_.wait(); }
  void used_on(Stream stream) override { uses_.used_on(static_cast<CUstream>(stream)); }

 private:
  Uses uses_;
  std::shared_ptr<void> allocation_;
  std::shared_ptr<void> keep_;
};

// Waits on the host for what the device's own CUDA stream was given by this thread. Under its Current.
void finish(const os::cuda::Device& device);

}  // namespace shmlane::cuda
