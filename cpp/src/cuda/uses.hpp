// SPDX-License-Identifier: Apache-2.0
// The CUDA streams that use a piece of memory, and what must be over before the piece goes.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "os/cuda/device.hpp"

namespace shmlane::cuda {

// The CUDA streams that may still use a piece of memory, and waiting for them at its end. Thread-safe.
class Uses {
 public:
  explicit Uses(os::cuda::Device& device) : device_(&device) {}
  [[nodiscard]] os::cuda::Device& device() const noexcept { return *device_; }
  // From now on work of that CUDA stream, which must live as long, may use it.
  void used_on(CUstream stream);
  // Waits on the host, or lets the device's own stream wait, for what those streams have to do by now. Never throws.
  void wait() noexcept;
  void own_stream_waits() noexcept;

 private:
  template <class Wait>
  void for_each(Wait&& wait) noexcept;
  os::cuda::Device* device_;
  std::mutex mutex_;
  std::vector<CUstream> streams_;
};

// Memory of this process alone, which nobody else sees.
class Owned : public Uses {
 public:
  Owned(os::cuda::Device& device, std::uint64_t size);
  ~Owned();
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  [[nodiscard]] CUdeviceptr data() const noexcept { return memory_; }

 private:
  CUdeviceptr memory_;
};

}  // namespace shmlane::cuda
