// SPDX-License-Identifier: Apache-2.0
// Memory of a GPU that another process exports, opened once in this one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "cuda/handover.hpp"
#include "os/cuda/virtual_memory.hpp"

namespace shmlane::cuda {

// Closed when the last pointer goes. Thread-safe.
class Mapping {
 public:
  using Handle = CudaPlacement::Handle;
  // Opened by this process before and still open, or now. `meanwhile`: see os::cuda::ask. Throws NoDevice, and DeviceFailed
  // with what may be the reason.
  static std::shared_ptr<Mapping> open(const CudaPlacement& placement, const std::function<void()>& meanwhile);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  [[nodiscard]] os::cuda::Device& device() const noexcept { return *device_; }
  [[nodiscard]] CUdeviceptr base() const noexcept { return base_; }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  // Whether the memory is there as long as the mapping is, though its exporter be gone (W-154).
  [[nodiscard]] bool lasts() const noexcept { return virtual_.has_value(); }
  // Null if the exporter shares no event: then a frame goes only when its slot is filled.
  [[nodiscard]] std::shared_ptr<os::cuda::Event> event(const Handle& handle);

 private:
  Mapping(os::cuda::Device& device, const CudaPlacement& placement, const std::function<void()>& meanwhile);
  void open_legacy(const Handle& handle);

  os::cuda::Device* device_;
  std::optional<os::cuda::VirtualMemory> virtual_;
  CUdeviceptr base_ = 0;
  std::uint64_t size_ = 0;
  std::mutex mutex_;
  std::map<Handle, std::shared_ptr<os::cuda::Event>> events_;
};

}  // namespace shmlane::cuda
