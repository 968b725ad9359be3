// SPDX-License-Identifier: Apache-2.0
// Frames in shared memory on the hot path: what frame.hpp says, inline (SPEC section 4).
//
// Each field is loaded once, into private memory, checked there, and then used: another process may write meanwhile.
// Relaxed loads will do, because whoever reads a frame has acquired it by its control word, and the sentinels catch
// everything else.
#pragma once

#include <cstring>

#include "atomic.hpp"
#include "crash_point.hpp"
#include "shmlane/frame.hpp"

namespace shmlane::frame_access {

inline constexpr std::uint64_t kMinExtent = wire::payload_offset(0);

template <class T>
T load_once(const T& word) noexcept {
  return atomic(const_cast<T&>(word)).load(kRelaxed);
}

template <class T>
void store(T& word, T value) noexcept {
  atomic(word).store(value, kRelaxed);
}

// memcpy() without a call where that is what costs.
inline void copy(std::byte* to, const void* source, std::size_t size) noexcept {
  constexpr std::size_t kPiece = 16;
  const auto* const from = static_cast<const std::byte*>(source);
  const auto piece = [&](std::size_t at) { __builtin_memcpy(to + at, from + at, kPiece); };
  if (size - kPiece > 3 * kPiece) {
    if (size != 0) std::memcpy(to, from, size);
    return;
  }
  piece(0);
  if (size > 2 * kPiece) {
    piece(kPiece);
    piece(size - 2 * kPiece);
  }
  piece(size - kPiece);
}

inline const wire::FrameHeader& header_of(const std::byte* frame) noexcept {
  return *reinterpret_cast<const wire::FrameHeader*>(frame);
}

inline const std::uint64_t& close_sentinel_of(const std::byte* frame, std::uint64_t payload_offset) noexcept {
  return *reinterpret_cast<const std::uint64_t*>(frame + payload_offset - wire::kSentinelSize);
}

inline FrameExtents load_extents(const std::byte* frame) noexcept {
  const wire::FrameHeader& header = header_of(frame);
  return {load_once(header.extent), load_once(header.payload_size), load_once(header.metadata_size),
          load_once(header.payload_offset)};
}

// As frame_extents(), which also refuses what does not fit a frame.
inline FrameExtents extents_for(std::uint64_t metadata_size, std::uint64_t payload_size) {
  constexpr std::uint64_t kPlain = std::uint64_t{1} << 31;
  if (metadata_size >= kPlain || payload_size >= (kPlain << 15)) [[unlikely]]
    return frame_extents(metadata_size, payload_size);
  return {wire::frame_extent(metadata_size, payload_size), payload_size, static_cast<std::uint32_t>(metadata_size),
          static_cast<std::uint32_t>(wire::payload_offset(metadata_size))};
}

// W-21 and W-24
inline bool opening_is_right(const std::byte* frame, std::uint64_t extent, std::uint64_t available,
                             std::uint64_t segment_id, std::uint64_t position) noexcept {
  return extent >= kMinExtent && extent % wire::kAlignment == 0 && extent <= available &&
         load_once(header_of(frame).open_sentinel) == wire::open_sentinel(segment_id, position, extent);
}

// W-25, given a right extent
inline bool parts_are_right(const FrameExtents& found) noexcept {
  return found.payload_offset % wire::kAlignment == 0 &&
         found.payload_offset >= wire::payload_offset(found.metadata_size) && found.payload_offset <= found.extent &&
         found.payload_size <= found.extent - found.payload_offset;
}

// W-22, given right parts
inline bool close_is_right(const std::byte* frame, const FrameExtents& found, std::uint64_t segment_id,
                           std::uint64_t position) noexcept {
  const std::uint64_t open = wire::open_sentinel(segment_id, position, found.extent);
  return load_once(close_sentinel_of(frame, found.payload_offset)) ==
         wire::close_sentinel(open, found.payload_size, found.metadata_size, found.payload_offset);
}

// W-26, the little of it that needs no parser
inline bool metadata_begins(const std::byte* frame, const FrameExtents& found) noexcept {
  return found.metadata_size != 0 && frame[wire::kMetadataOffset] == std::byte{'{'};
}

// The rest of W-25 and W-26, given a right opening
inline bool contents_are_right(const std::byte* frame, const FrameExtents& found, std::uint64_t segment_id,
                               std::uint64_t position) noexcept {
  return parts_are_right(found) && close_is_right(frame, found, segment_id, position) && metadata_begins(frame, found);
}

inline FrameView view_of(const std::byte* frame, const FrameExtents& extents) noexcept {
  return {{reinterpret_cast<const char*>(frame + wire::kMetadataOffset), extents.metadata_size},
          {frame + extents.payload_offset, extents.payload_size}};
}

inline void open(std::byte* frame, std::uint64_t segment_id, std::uint64_t position, std::uint64_t extent) noexcept {
  auto& header = *reinterpret_cast<wire::FrameHeader*>(frame);
  SHMLANE_CRASH_POINT("frame.open.extent");
  store(header.extent, extent);
  SHMLANE_CRASH_POINT("frame.open.sentinel");
  store(header.open_sentinel, wire::open_sentinel(segment_id, position, extent));
}

inline void write(std::byte* frame, const FrameExtents& extents, std::string_view metadata) noexcept {
  auto& header = *reinterpret_cast<wire::FrameHeader*>(frame);
  SHMLANE_CRASH_POINT("frame.write.payload_size");
  store(header.payload_size, extents.payload_size);
  SHMLANE_CRASH_POINT("frame.write.metadata_size");
  store(header.metadata_size, extents.metadata_size);
  SHMLANE_CRASH_POINT("frame.write.payload_offset");
  store(header.payload_offset, extents.payload_offset);
  SHMLANE_CRASH_POINT("frame.write.metadata");
  copy(frame + wire::kMetadataOffset, metadata.data(), metadata.size());
  SHMLANE_CRASH_POINT("frame.write.close");
  store(const_cast<std::uint64_t&>(close_sentinel_of(frame, extents.payload_offset)),
        wire::close_sentinel(load_once(header.open_sentinel), extents.payload_size, extents.metadata_size,
                             extents.payload_offset));
}

// As parse_frame(), which says what is wrong with a frame that is not sound; but the first 64 bytes must be there.
inline FrameView parse(const std::byte* frame, std::uint64_t available, std::uint64_t segment_id,
                       std::uint64_t position) {
  const FrameExtents found = load_extents(frame);
  if (opening_is_right(frame, found.extent, available, segment_id, position) &&
      contents_are_right(frame, found, segment_id, position)) [[likely]] {
    return view_of(frame, found);
  }
  return parse_frame(frame, available, segment_id, position);
}

}  // namespace shmlane::frame_access
