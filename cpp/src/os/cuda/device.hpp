// SPDX-License-Identifier: Apache-2.0
// The devices that this process sees: their primary contexts, which all libraries of a process share, and streams.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

#include "os/cuda/driver.hpp"

namespace shmlane::os::cuda {

using Uuid = std::array<unsigned char, 16>;

// One device. Thread-safe. Never destroyed.
class Device {
 public:
  [[nodiscard]] int ordinal() const noexcept { return ordinal_; }
  [[nodiscard]] const Uuid& uuid() const noexcept { return uuid_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  // A CUDA stream of the library's own, which waits for nobody's default stream.
  [[nodiscard]] CUstream stream() const noexcept { return stream_; }

  [[nodiscard]] bool has(CUdevice_attribute attribute) const;

  // `size` bytes, and giving them back after what stream() has to do; without synchronising the device, where it has
  // memory pools. To be used under Current. The first throws NoSpace.
  [[nodiscard]] CUdeviceptr allocate(std::uint64_t size) const;
  void give_back(CUdeviceptr memory) const noexcept;

 private:
  friend Device& device(int ordinal);
  friend class Current;
  friend class Event;
  explicit Device(int ordinal);
  void open();
  void make_pool();

  int ordinal_;
  CUdevice handle_ = 0;
  std::once_flag opened_;
  CUcontext context_ = nullptr;
  CUstream stream_ = nullptr;
  CUmemoryPool pool_ = nullptr;  // null: without pools
  Uuid uuid_{};
  std::string name_;
};

int device_count();
// Throws NoDevice, with what there is.
Device& device(int ordinal);
Device& device(const Uuid& uuid);
// The device that the memory lies on. Throws UnsupportedType for memory that is no device's.
Device& device_of(std::uint64_t pointer);

// Makes a device's primary context the current one of this thread, for a scope.
class Current {
 public:
  explicit Current(const Device& device) { check(driver().push_context(device.context_), "use its context"); }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;
  ~Current() {
    CUcontext previous = nullptr;
    driver().pop_context(&previous);
  }
};

// An event of this process. To be used under its device's Current.
class Event {
 public:
  explicit Event(unsigned flags = CU_EVENT_DISABLE_TIMING) {
    check(driver().event_create(&event_, flags), "make an event");
  }
  explicit Event(CUevent event) noexcept : event_(event) {}
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event& operator=(Event&&) = delete;
  ~Event() {
    if (event_ != nullptr && usable()) driver().event_destroy(event_);
  }
  [[nodiscard]] CUevent get() const noexcept { return event_; }
  void record(CUstream stream) const { check(driver().event_record(event_, stream), "record an event"); }
  // Waits on the host until all work before the last record is done. Throws what that work failed with.
  void wait() const { check(driver().event_synchronize(event_), "do what an event waits for"); }
  // Whether all work before the last record is done. Throws what that work failed with.
  [[nodiscard]] bool done() const {
    const CUresult result = driver().event_query(event_);
    if (result == CUDA_ERROR_NOT_READY) return false;
    check(result, "do what an event waits for");
    return true;
  }
  // The same for whoever only wants to use the memory again, under no Current: what failed will not be done any more.
  [[nodiscard]] bool pending(const Device& device) const noexcept {
    return driver().push_context(device.context_) == CUDA_SUCCESS && query_and_pop() == CUDA_ERROR_NOT_READY;
  }

 private:
  [[nodiscard]] CUresult query_and_pop() const noexcept {
    const CUresult result = driver().event_query(event_);
    CUcontext previous = nullptr;
    driver().pop_context(&previous);
    return result;
  }
  CUevent event_ = nullptr;
};

}  // namespace shmlane::os::cuda
