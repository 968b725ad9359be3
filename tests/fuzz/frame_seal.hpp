// SPDX-License-Identifier: Apache-2.0
// Right sentinels around whatever lengths a frame claims, so that fuzzing gets past them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "shmlane/wire.hpp"

namespace fuzz {

inline void seal_frame(std::span<std::byte> bytes, std::uint64_t segment_id, std::uint64_t position) noexcept {
  namespace wire = shmlane::wire;
  if (bytes.size() < sizeof(wire::FrameHeader)) return;
  auto& header = *reinterpret_cast<wire::FrameHeader*>(bytes.data());
  header.open_sentinel = wire::open_sentinel(segment_id, position, header.extent);
  const std::uint64_t close =
      wire::close_sentinel(header.open_sentinel, header.payload_size, header.metadata_size, header.payload_offset);
  const std::uint64_t end = header.payload_offset;
  if (end < wire::kMetadataOffset + sizeof close || end > bytes.size()) return;
  std::memcpy(bytes.data() + end - sizeof close, &close, sizeof close);
}

}  // namespace fuzz
