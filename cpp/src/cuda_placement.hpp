// SPDX-License-Identifier: Apache-2.0
// What a frame of the type `cuda` says: where in which GPU's memory an array lies (SPEC section 12). Knows no GPU itself.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "shmlane/codec.hpp"
#include "shmlane/ndarray.hpp"

namespace shmlane {

struct CudaPlacement {
  using Handle = std::array<std::byte, 64>;  // of memory or of an event: opaque
  using Uuid = std::array<unsigned char, 16>;
  static constexpr std::size_t kPayloadSize = 2 * sizeof(Handle);
  enum class Sharing : std::uint8_t {
    kHandle,      // "ipc": `memory` is the driver's
    kDescriptor,  // "fd": `memory` says where a file descriptor is to be had (W-152)
  };

  Sharing sharing = Sharing::kHandle;
  Uuid device{};
  DType dtype;
  Dims shape;
  Dims strides;
  std::uint64_t allocation = 0;  // its random id
  std::uint64_t exporter = 0;    // participant
  std::uint64_t pid = 0;         // for people
  std::uint64_t slot = 0;
  std::uint64_t generation = 0;
  std::uint64_t offset = 0;  // in the allocation
  std::uint64_t bytes = 0;
  Handle memory{};
  Handle filled{};

  [[nodiscard]] SHMLANE_EXPORT Json metadata() const;
  [[nodiscard]] SHMLANE_EXPORT std::array<std::byte, kPayloadSize> payload() const;

  // Checks everything but whether [offset, offset + bytes) is in the allocation. Throws WrongType, Corrupt, or UnsupportedType
  // for what a later version may mean.
  static SHMLANE_EXPORT CudaPlacement read(const Json& metadata, std::span<const std::byte> payload);
};

// 32 hexadecimal digits.
SHMLANE_EXPORT std::string uuid_text(const CudaPlacement::Uuid& uuid);

}  // namespace shmlane
