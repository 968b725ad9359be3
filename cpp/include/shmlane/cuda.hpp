// SPDX-License-Identifier: Apache-2.0
// Arrays of a GPU through queues: a handle crosses, never the data (SPEC section 12). Of the library shmlane::cuda.
//
// Needs neither the CUDA toolkit to include nor a GPU to run: whatever needs one throws NoDevice with the reason.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shmlane/ndarray.hpp"
#include "shmlane/queue.hpp"

namespace shmlane::cuda {

// A CUstream or cudaStream_t. Null and legacy_stream() are the default stream, which all blocking ones wait for.
using Stream = void*;
inline Stream legacy_stream() noexcept {
  return reinterpret_cast<Stream>(std::uintptr_t{1});  // NOLINT(performance-no-int-to-ptr): the driver's own name of it
}

struct DeviceInfo {
  int ordinal;
  std::string name;
  std::string uuid;  // 32 hexadecimal digits
};

// The devices that this process can use. Throws NoDevice with what is missing.
SHMLANE_EXPORT std::vector<DeviceInfo> devices();
// What is missing, or "".
SHMLANE_EXPORT std::string why_unavailable();
// The device that memory lies on. Throws UnsupportedType for memory that is no device's.
SHMLANE_EXPORT int device_of(std::uintptr_t data);
// The CUDA stream that the library's own work on a device goes to. It waits for no default stream.
SHMLANE_EXPORT Stream own_stream(int device);
// What is given to it from now on waits for what `stream` was given by now.
SHMLANE_EXPORT void own_stream_waits_for(int device, Stream stream);
// Waits on the host for what the CUDA stream was given by now.
SHMLANE_EXPORT void synchronise(int device, Stream stream);

// An array in a GPU's memory that lies somewhere else. Borrows it; the members may be set freely, who uses it checks.
struct SHMLANE_EXPORT DeviceView {
  DType dtype;
  Dims shape;    // items
  Dims strides;  // bytes, one per dimension
  std::uintptr_t data = 0;
  int device = 0;

  // Items in C order at `data`. Throws InvalidArgument for negative or too many items.
  static DeviceView contiguous(DType dtype, Dims shape, std::uintptr_t data, int device);
  [[nodiscard]] std::uint64_t nbytes() const;
  [[nodiscard]] bool is_c_contiguous() const;
};

class Memory;  // what a DeviceArray keeps (private)

// An array and its memory: a copy of one's own, or another process's, as long as its frame is held. Copies share it; the
// last one to go waits for the work of the CUDA streams that were named, and then gives back memory or frame.
class SHMLANE_EXPORT DeviceArray : public DeviceView {
 public:
  DeviceArray() = default;
  DeviceArray(DeviceView view, std::shared_ptr<Memory> memory)
      : DeviceView(std::move(view)), memory_(std::move(memory)) {}
  // Uninitialised memory of this process. Throws NoDevice, NoSpace.
  static DeviceArray allocate(DType dtype, Dims shape, int device = 0);

  // Work that was or will be given to this CUDA stream uses the array.
  void used_on(Stream stream) const;
  // All items, in C order, to or from the host's memory; complete at return.
  void copy_to_host(void* out) const;
  void copy_from_host(const void* from) const;
  // All bytes, which must lie in C order; complete at return.
  void fill(std::byte value) const;

 private:
  std::shared_ptr<Memory> memory_;
};

// An array that is somebody else's, for as long as `keep` keeps it.
SHMLANE_EXPORT DeviceArray borrow(DeviceView view, std::shared_ptr<void> keep);

// Copies `from` to `to`, of one shape and dtype and any strides of `from`; `to` is in C order. The copy is given to the
// CUDA stream; it is complete at return if that is nullopt. Throws InvalidArgument, UnsupportedType.
SHMLANE_EXPORT void copy(const DeviceView& from, const DeviceView& to, std::optional<Stream> stream = std::nullopt);

// Memory of a queue's arena, for one array that crosses in place. Given back at the end of its life, unless it was sent.
class SHMLANE_EXPORT Slot {
 public:
  static constexpr std::size_t kPayloadSize = 128;  // bytes
  struct State;

  explicit Slot(std::unique_ptr<State> state);
  Slot(Slot&& other) noexcept;
  Slot& operator=(Slot&& other) noexcept;
  ~Slot();

  [[nodiscard]] std::uintptr_t data() const;
  [[nodiscard]] std::uint64_t nbytes() const;
  [[nodiscard]] int device() const;

  // Its contents are there once the CUDA stream has done what it was given by now; nullopt: they are there. To be called
  // once, after the work was given to the stream, and before send().
  void ready(std::optional<Stream> stream);
  // The frame that carries it: metadata, and kPayloadSize bytes of payload. Throws TooLarge.
  [[nodiscard]] Json metadata(const DType& dtype, const Dims& shape) const;
  [[nodiscard]] std::array<std::byte, kPayloadSize> payload() const;
  // From now on the slot is that frame's, which is about to be committed.
  void send(const Reservation& frame);

 private:
  std::unique_ptr<State> state_;
};

struct ExporterOptions {
  std::uint64_t capacity = 0;  // bytes of each device's arena; 0: grows with the arrays, to twice the largest
};

// The exporting half of a queue's producer: an arena in the memory of each GPU whose arrays are pushed, exported once.
// Thread-safe. The Producer must outlive it. What was pushed lives until it is consumed, or this process ends.
class SHMLANE_EXPORT Exporter {
 public:
  explicit Exporter(Producer& producer, const ExporterOptions& options = {});
  Exporter(Exporter&&) noexcept;
  Exporter& operator=(Exporter&&) noexcept;
  ~Exporter();

  // Copies an array of any strides into the arena, device to device, on that CUDA stream, and sends it; consumers wait for
  // the copy. The array may change when the stream has done it. kFull: no room in the arena or the ring in time.
  // Throws what Producer::push throws, NoDevice, DeviceFailed, NoSpace.
  PushResult push(const DeviceView& array, Stream stream, Timeout timeout = forever);
  // The same; and the memory of `array` stays until the stream has done it.
  PushResult push(const DeviceArray& array, Stream stream, Timeout timeout = forever) {
    array.used_on(stream);
    return push(static_cast<const DeviceView&>(array), stream, timeout);
  }
  // Room in the arena; nullopt if there is none in time.
  [[nodiscard]] std::optional<Slot> reserve(int device, std::uint64_t nbytes, Timeout timeout = forever);
  // Sends what was reserved and filled: see Slot::ready.
  PushResult push(Slot&& slot, const DType& dtype, const Dims& shape, Timeout timeout = forever);

  // Waits until nothing that was pushed is in use any more; false on time-out.
  bool wait_consumed(Timeout timeout = forever);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Leaves the queues of exporters that ended with arrays in flight, which are lost then: for the end of a process that
// runs no destructors of static objects; in any other that happens by itself.
SHMLANE_EXPORT void leave_queues() noexcept;

// Memory that was exported by a legacy handle stays with the process for the next use of the same queue or stream. Gives
// back to the driver what of it nobody in this process uses, which is done also where memory is short: only when no other
// process has it open any more, which the driver forbids.
SHMLANE_EXPORT void free_unused();

// The importing half of a queue's consumer. Thread-safe. The Consumer must outlive it; arrays may outlive both.
class SHMLANE_EXPORT Importer {
 public:
  explicit Importer(Consumer& consumer, InterruptCheck interrupt_check = nullptr);
  Importer(Importer&&) noexcept;
  Importer& operator=(Importer&&) noexcept;
  ~Importer();

  // A copy of one's own, on the same device, complete at return. Throws WrongType, Corrupt, NoDevice, DeviceFailed,
  // NoSpace, UnsupportedType for what a later version may mean, and ExporterGone if the exporter died before the end.
  [[nodiscard]] DeviceArray copy(const Received& frame) { return copy(frame.metadata().json, frame.payload()); }
  // The array in place, to be read only; holds the frame. Throws the same.
  [[nodiscard]] DeviceArray view(Lease&& lease);
  // The same from a frame's parts, for codecs of objects that hold several; `keep` is what holds the frame.
  [[nodiscard]] DeviceArray copy(const Json& metadata, std::span<const std::byte> payload);
  [[nodiscard]] DeviceArray view(const Json& metadata, std::span<const std::byte> payload, std::shared_ptr<void> keep);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace shmlane::cuda
