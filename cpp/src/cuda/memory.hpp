// SPDX-License-Identifier: Apache-2.0
// Memory of a GPU: our own, exported once to other processes, or another process's, opened once.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda_placement.hpp"
#include "os/cuda/device.hpp"

namespace shmlane::cuda {

using Handle = CudaPlacement::Handle;
using BlockId = std::uint64_t;  // random

// The CUDA streams that may still use a piece of memory, and waiting for them at its end. Thread-safe.
class Uses {
 public:
  explicit Uses(os::cuda::Device& device) : device_(&device) {}
  [[nodiscard]] os::cuda::Device& device() const noexcept { return *device_; }
  // From now on work of that CUDA stream may use it.
  void used_on(CUstream stream);
  // Waits on the host, or lets the device's own stream wait, for what those streams have to do by now. Never throws: a
  // stream that is gone has nothing to do any more.
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

// One allocation that other processes may open, with the events of its slots. Not given back to the driver when its user
// has done with it, because another process may still have it open, which the driver forbids: see recycle().
class Block {
 public:
  struct Slot {
    std::shared_ptr<os::cuda::Event> filled;  // between processes
    Handle handle{};
    std::uint64_t generation = 0;  // grows with every fill
  };

  // Takes one of this device and purpose that was recycled and is large enough, or makes one. Throws NoSpace, and
  // DeviceFailed where the memory cannot be shared.
  static std::shared_ptr<Block> make(os::cuda::Device& device, std::uint64_t size, const std::string& purpose);
  // That with this id in this process, or null.
  static std::shared_ptr<Block> find(BlockId id);
  // Nobody uses it now: keeps it for the next make() of its purpose.
  static void recycle(std::shared_ptr<Block> block);
  // Keeps it until the process ends.
  static void keep(std::shared_ptr<Block> block);
  // Gives back to the driver what was recycled and not used again. Whether there was anything.
  static bool free_unused();

  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  [[nodiscard]] os::cuda::Device& device() const noexcept { return *device_; }
  [[nodiscard]] BlockId id() const noexcept { return id_; }
  [[nodiscard]] CUdeviceptr base() const noexcept { return base_; }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] const Handle& handle() const noexcept { return handle_; }
  // Made when it is first asked for. Throws DeviceFailed where events cannot be shared.
  [[nodiscard]] Slot& slot(std::size_t index);
  // The slot's event, or null if the slot was never used.
  [[nodiscard]] std::shared_ptr<os::cuda::Event> event(std::size_t index);

 private:
  Block(os::cuda::Device& device, std::uint64_t size, std::string purpose);

  os::cuda::Device* device_;
  std::string purpose_;
  BlockId id_;
  CUdeviceptr base_ = 0;
  std::uint64_t size_;
  Handle handle_{};
  std::mutex mutex_;
  std::deque<Slot> slots_;  // which stay where they are
};

// Another process's block, open in this one. Closed when the last pointer goes. Thread-safe.
class Mapping {
 public:
  // Opened by this process before and still open, or now. Throws DeviceFailed with what may be the reason.
  static std::shared_ptr<Mapping> open(os::cuda::Device& device, BlockId id, const Handle& handle);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  [[nodiscard]] os::cuda::Device& device() const noexcept { return *device_; }
  [[nodiscard]] CUdeviceptr base() const noexcept { return base_; }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] std::shared_ptr<os::cuda::Event> event(const Handle& handle);

 private:
  Mapping(os::cuda::Device& device, const Handle& handle);

  os::cuda::Device* device_;
  CUdeviceptr base_ = 0;
  std::uint64_t size_ = 0;
  std::mutex mutex_;
  std::map<Handle, std::shared_ptr<os::cuda::Event>> events_;
};

}  // namespace shmlane::cuda
