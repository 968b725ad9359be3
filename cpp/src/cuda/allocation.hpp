// SPDX-License-Identifier: Apache-2.0
// Memory of a GPU that this process exports, once, with the events of its slots.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "cuda/handover.hpp"
#include "os/cuda/virtual_memory.hpp"

namespace shmlane::cuda {

// One allocation that other processes may open. Shared as a file descriptor where the device can do that, else by the
// driver's legacy handle. What has such a handle is not given back to the driver when its user has done with it, because
// another process may still have it open, which the driver forbids: see recycle().
class Allocation {
 public:
  using Handle = CudaPlacement::Handle;
  struct Slot {
    std::shared_ptr<os::cuda::Event> filled;
    Handle handle{};     // zeros: the event is this process's alone, and a frame goes only when the slot is filled
    bool shared = true;  // the event, between processes
    std::uint64_t generation = 0;  // grows with every fill
  };

  // Takes one of this device and purpose that was recycled and is large enough, or makes one. Throws NoSpace, and
  // DeviceFailed where the memory cannot be shared.
  static std::shared_ptr<Allocation> make(os::cuda::Device& device, std::uint64_t size, const std::string& purpose);
  // That with this id in this process, or null.
  static std::shared_ptr<Allocation> find(AllocationId id);
  // Nobody uses it now: keeps it for the next make() of its purpose, or frees it where that does no harm.
  static void recycle(std::shared_ptr<Allocation> allocation);
  // Keeps it until the process ends.
  static void keep(std::shared_ptr<Allocation> allocation);
  // Gives back to the driver what was recycled and not used again. Whether there was anything.
  static bool free_unused();

  ~Allocation();
  Allocation(const Allocation&) = delete;
  Allocation& operator=(const Allocation&) = delete;

  [[nodiscard]] os::cuda::Device& device() const noexcept { return *device_; }
  [[nodiscard]] AllocationId id() const noexcept { return id_; }
  [[nodiscard]] CUdeviceptr base() const noexcept { return base_; }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] CudaPlacement::Sharing sharing() const noexcept {
    return virtual_ ? CudaPlacement::Sharing::kDescriptor : CudaPlacement::Sharing::kHandle;
  }
  [[nodiscard]] const Handle& handle() const noexcept { return handle_; }
  // Made when it is first asked for.
  [[nodiscard]] Slot& slot(std::size_t index);
  // The slot's event, or null if the slot was never used.
  [[nodiscard]] std::shared_ptr<os::cuda::Event> event(std::size_t index);

 private:
  Allocation(os::cuda::Device& device, std::uint64_t size, std::string purpose);
  void make_virtual(std::uint64_t size);
  void make_legacy(std::uint64_t size);

  os::cuda::Device* device_;
  std::string purpose_;
  AllocationId id_;
  std::optional<os::cuda::VirtualMemory> virtual_;
  CUdeviceptr base_ = 0;
  std::uint64_t size_ = 0;
  Handle handle_{};
  std::mutex mutex_;
  std::deque<Slot> slots_;  // which stay where they are
};

}  // namespace shmlane::cuda
