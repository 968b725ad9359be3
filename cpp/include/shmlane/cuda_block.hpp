// SPDX-License-Identifier: Apache-2.0
// Memory of a GPU that processes share without a queue (SPEC section 12.1). Of the library shmlane::cuda.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "shmlane/cuda.hpp"

namespace shmlane::cuda {

// Memory of a GPU that other processes may open, without a queue: what streams of a GPU keep their values in. Copies
// share it. What was created goes when its last copy has gone, but stays with the process for the next of its purpose.
class SHMLANE_EXPORT SharedBlock {
 public:
  // `purpose`: a name; only blocks of the same are used again. Throws NoDevice, NoSpace, DeviceFailed.
  static SharedBlock create(int device, std::uint64_t nbytes, std::string_view purpose);
  // What metadata() and payload() of another process, or of this one, told. Throws as Importer::copy, ExporterGone
  // excepted: only who knows the exporter can say that.
  static SharedBlock open(const Json& metadata, std::span<const std::byte> payload);

  [[nodiscard]] std::uintptr_t data() const noexcept { return data_; }
  [[nodiscard]] std::uint64_t nbytes() const noexcept { return nbytes_; }
  [[nodiscard]] int device() const noexcept { return device_; }
  // Of what this process created: an array in it at an offset, of which the participant `exporter` is the owner.
  [[nodiscard]] Json metadata(const DType& dtype, const Dims& shape, std::uint64_t offset,
                              std::uint64_t exporter) const;
  [[nodiscard]] std::array<std::byte, Slot::kPayloadSize> payload() const;

 private:
  SharedBlock() = default;
  std::shared_ptr<void> memory_;
  std::uintptr_t data_ = 0;
  std::uint64_t nbytes_ = 0;
  int device_ = 0;
};

}  // namespace shmlane::cuda
