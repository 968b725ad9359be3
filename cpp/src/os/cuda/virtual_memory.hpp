// SPDX-License-Identifier: Apache-2.0
// Memory of a GPU that processes share as a file descriptor: the driver's virtual memory management.
#pragma once

#include <cstdint>

#include "os/cuda/descriptor_socket.hpp"
#include "os/cuda/device.hpp"

namespace shmlane::os::cuda {

// Mapped in this process. It lives as long as any process has it mapped or holds a descriptor of it. To be made and to be
// destroyed under Current; the end waits for all work of the device, as cuMemFree does.
class VirtualMemory {
 public:
  // Whether the device has such memory.
  [[nodiscard]] static bool supported(const Device& device);
  // New memory, of `size` bytes or some more. Throws NoSpace, DeviceFailed.
  VirtualMemory(const Device& device, std::uint64_t size);
  // That of a descriptor; `size` is its whole size. Throws DeviceFailed.
  VirtualMemory(const Device& device, std::uint64_t size, const Descriptor& descriptor);
  VirtualMemory(const VirtualMemory&) = delete;
  VirtualMemory& operator=(const VirtualMemory&) = delete;
  ~VirtualMemory();

  [[nodiscard]] CUdeviceptr base() const noexcept { return base_; }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  // What other processes map it by. Of new memory only.
  [[nodiscard]] const Descriptor& descriptor() const noexcept { return descriptor_; }

 private:
  void map(const Device& device);
  void clear() noexcept;

  std::uint64_t size_;
  CUmemGenericAllocationHandle handle_ = 0;
  bool made_ = false;
  bool mapped_ = false;
  CUdeviceptr base_ = 0;
  Descriptor descriptor_;
};

}  // namespace shmlane::os::cuda
