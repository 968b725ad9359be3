// SPDX-License-Identifier: Apache-2.0
// GpuStream: the latest value of one array in a GPU's memory (SPEC section 12.1). Of the library shmlane::cuda.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "shmlane/cuda.hpp"
#include "shmlane/stream.hpp"

namespace shmlane::cuda {

struct GpuStreamOptions : StreamOptions {
  int device = 0;
  bool cpu_mirror = false;  // each write also goes to the host's memory, for processes without a GPU
};

// A stream whose values live on a GPU. The memory is the creator's: it lives as long as the handle that created it. All
// methods may be called by several threads at once; they throw what those of Stream throw, and NoDevice, DeviceFailed,
// and ExporterGone once the creator is gone.
class SHMLANE_EXPORT GpuStream {
 public:
  // float16/32/64, int8 to int64 and uint8 in this machine's byte order. Throws UnsupportedType for others.
  static GpuStream create(std::string_view name, const DType& dtype, const Dims& shape,
                          const GpuStreamOptions& options = {});
  // Throws InvalidArgument if the stream lives in the host's memory.
  static GpuStream open(std::string_view name, const StreamOptions& options = {});
  GpuStream(GpuStream&&) noexcept;
  GpuStream& operator=(GpuStream&&) noexcept;
  ~GpuStream();

  [[nodiscard]] const DType& dtype() const noexcept;
  [[nodiscard]] const Dims& shape() const noexcept;
  [[nodiscard]] bool cpu_mirror() const noexcept;
  [[nodiscard]] std::uint64_t count() const;

  // A consistent copy of the newest value, complete at return: in new memory of its device, into an array in C order on
  // any device, or into as many bytes of the host's memory (from the mirror, if there is one).
  [[nodiscard]] DeviceArray read();
  void read(const DeviceView& out);
  void read(std::span<std::byte> out);
  // False on time-out.
  bool wait_after(std::uint64_t count, Timeout timeout = forever);

  // Replaces the value by an array of any strides; what fills `value` must be over. Complete at return. Returns the new
  // count, nothing on time-out. Throws InvalidArgument for another shape or dtype.
  std::optional<std::uint64_t> write(const DeviceView& value, Timeout timeout = forever);
  std::optional<std::uint64_t> write(const NdView& value, Timeout timeout = forever);

  // The ordinary stream: its lock, its facts, its end. Its values are records, one more than of this.
  [[nodiscard]] shmlane::Stream& stream() noexcept;

 private:
  struct State;
  explicit GpuStream(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace shmlane::cuda
