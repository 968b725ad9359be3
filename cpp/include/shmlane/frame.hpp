// SPDX-License-Identifier: Apache-2.0
// A frame as spans of private knowledge: metadata and payload between sentinels (SPEC section 4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "shmlane/export.hpp"
#include "shmlane/wire.hpp"

namespace shmlane {

// A frame's contents. Borrows the memory it points into; valid as long as the Object, Lease or buffer behind it.
struct FrameView {
  std::string_view metadata;           // one JSON object, UTF-8
  std::span<const std::byte> payload;  // 64-byte aligned
};

// Where a frame's parts lie and how long they are: a checked, private copy of a header in shared memory.
struct FrameExtents {
  std::uint64_t extent;
  std::uint64_t payload_size;
  std::uint32_t metadata_size;
  std::uint32_t payload_offset;
};

// Extents of a frame that is to hold that much. Throws TooLarge where a length does not fit the header's fields.
SHMLANE_EXPORT FrameExtents frame_extents(std::uint64_t metadata_size, std::uint64_t payload_size);

// Writes lengths, metadata and close sentinel of a frame whose opening (extent, open sentinel) stands already.
// `frame` has `extents.extent` writable bytes; the payload is not touched.
SHMLANE_EXPORT void write_frame(std::byte* frame, const FrameExtents& extents, std::string_view metadata) noexcept;

// Writes extent and open sentinel, by which every scan steps from frame to frame.
SHMLANE_EXPORT void open_frame(std::byte* frame, std::uint64_t segment_id, std::uint64_t position,
                               std::uint64_t extent) noexcept;

// Checks the frame at `position` that lies in `available` bytes of 64-byte aligned memory which others may write: each
// length is read once, compared with the sentinels and the bounds, then used. Throws Corrupt that says which rule is
// broken (W-21 to W-26). The metadata is only seen to begin with '{': parse_metadata() looks at the rest.
SHMLANE_EXPORT FrameView parse_frame(const std::byte* frame, std::uint64_t available, std::uint64_t segment_id,
                                     std::uint64_t position);

// The frame's extent if its opening is right and it ends within `available`, else 0.
SHMLANE_EXPORT std::uint64_t checked_extent(const std::byte* frame, std::uint64_t available, std::uint64_t segment_id,
                                            std::uint64_t position) noexcept;

}  // namespace shmlane
