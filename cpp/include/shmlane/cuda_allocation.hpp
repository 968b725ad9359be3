// SPDX-License-Identifier: Apache-2.0
// Memory of a GPU that processes share without a queue (SPEC section 12.1). Of the library shmlane::cuda.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "shmlane/cuda.hpp"

namespace shmlane::cuda {

// Memory of a GPU that other processes may open, without a queue: what streams of a GPU keep their values in. Copies
// share it. What was created goes when its last copy has gone, or stays with the process for the next of its purpose.
class SHMLANE_EXPORT SharedAllocation {
 public:
  // `purpose`: a name; only allocations of the same are used again. Throws NoDevice, NoSpace, DeviceFailed.
  static SharedAllocation create(int device, std::uint64_t nbytes, std::string_view purpose);
  // What metadata() and payload() of another process, or of this one, told. `meanwhile`, if it is not empty, is called ten
  // times a second while the exporter is waited for, and may throw. Throws as Importer::copy, ExporterGone excepted: only
  // who knows the exporter can say that.
  static SharedAllocation open(const Json& metadata, std::span<const std::byte> payload,
                               const std::function<void()>& meanwhile = nullptr);

  [[nodiscard]] std::uintptr_t data() const noexcept { return data_; }
  [[nodiscard]] std::uint64_t nbytes() const noexcept { return nbytes_; }
  [[nodiscard]] int device() const noexcept { return device_; }
  // Of what this process created: an array in it at an offset, of which the participant `exporter` is the owner.
  [[nodiscard]] Json metadata(const DType& dtype, const Dims& shape, std::uint64_t offset,
                              std::uint64_t exporter) const;
  [[nodiscard]] std::array<std::byte, Slot::kPayloadSize> payload() const;

 private:
  SharedAllocation() = default;
  std::shared_ptr<void> memory_;
  std::uintptr_t data_ = 0;
  std::uint64_t nbytes_ = 0;
  int device_ = 0;
};

}  // namespace shmlane::cuda
