// SPDX-License-Identifier: Apache-2.0
// Writing and checking single frames (SPEC section 4).
#include "shmlane/frame.hpp"

#include <limits>
#include <string>

#include "frame_access.hpp"
#include "shmlane/error.hpp"

namespace shmlane {
namespace {

using namespace frame_access;

// No address space holds more, and sums of two such lengths do not overflow.
constexpr std::uint64_t kMaxExtent = std::numeric_limits<std::int64_t>::max();
class Parser {
 public:
  Parser(const std::byte* frame, std::uint64_t available, std::uint64_t segment_id, std::uint64_t position)
      : frame_(frame), available_(available), segment_id_(segment_id), position_(position) {}

  [[nodiscard]] FrameView parse() const {
    if (available_ < kMinExtent) corrupt("W-25", "only " + std::to_string(available_) + " bytes are there");
    const FrameExtents found = load_extents(frame_);
    check_extent(found);
    check_parts(found);
    if (!close_is_right(frame_, found, segment_id_, position_)) {
      corrupt("W-22", "the close sentinel does not fit the lengths");
    }
    if (!metadata_begins(frame_, found))
      corrupt("W-26", "the metadata is not a JSON object: it does not begin with '{'");
    return view_of(frame_, found);
  }

 private:
  void check_extent(const FrameExtents& found) const {
    if (load_once(header_of(frame_).open_sentinel) != wire::open_sentinel(segment_id_, position_, found.extent)) {
      corrupt("W-21", "no frame begins there: the open sentinel is wrong");
    }
    const auto wrong = [&](const std::string& why) {
      corrupt("W-24", "its extent, " + std::to_string(found.extent) + why);
    };
    if (found.extent < kMinExtent) wrong(", is less than 64");
    if (found.extent % wire::kAlignment != 0) wrong(", is not a multiple of 64");
    if (found.extent > available_) wrong(", reaches beyond the " + std::to_string(available_) + " bytes there are");
  }

  void check_parts(const FrameExtents& found) const {
    const auto wrong = [&](const std::string& why) {
      corrupt("W-25", "its payload, " + std::to_string(found.payload_size) + " bytes at " +
                          std::to_string(found.payload_offset) + ", " + why);
    };
    if (found.payload_offset % wire::kAlignment != 0) wrong("does not begin at a multiple of 64");
    if (found.payload_offset < wire::payload_offset(found.metadata_size)) {
      wrong("begins before the end of the metadata, " + std::to_string(found.metadata_size) + " bytes");
    }
    if (found.payload_offset > found.extent) wrong("begins after the frame's end");
    if (found.payload_size > found.extent - found.payload_offset) wrong("ends after the frame's end");
  }

  [[noreturn]] void corrupt(const char* rule, const std::string& why) const {
    throw Corrupt("corrupt frame at position " + std::to_string(position_) + " (" + rule + "): " + why);
  }

  const std::byte* frame_;
  std::uint64_t available_;
  std::uint64_t segment_id_;
  std::uint64_t position_;
};

}  // namespace

FrameExtents frame_extents(std::uint64_t metadata_size, std::uint64_t payload_size) {
  if (metadata_size > wire::kMaxMetadataBytes) {
    throw TooLarge("metadata of " + std::to_string(metadata_size) + " bytes; at most " +
                   std::to_string(wire::kMaxMetadataBytes) + " fit a frame");
  }
  const std::uint64_t payload_offset = wire::payload_offset(metadata_size);
  if (payload_size > kMaxExtent - payload_offset - wire::kAlignment) {
    throw TooLarge("a payload of " + std::to_string(payload_size) + " bytes is more than any memory holds");
  }
  return {wire::frame_extent(metadata_size, payload_size), payload_size, static_cast<std::uint32_t>(metadata_size),
          static_cast<std::uint32_t>(payload_offset)};
}

void write_frame(std::byte* frame, const FrameExtents& extents, std::string_view metadata) noexcept {
  frame_access::write(frame, extents, metadata);
}

void open_frame(std::byte* frame, std::uint64_t segment_id, std::uint64_t position, std::uint64_t extent) noexcept {
  frame_access::open(frame, segment_id, position, extent);
}

FrameView parse_frame(const std::byte* frame, std::uint64_t available, std::uint64_t segment_id,
                      std::uint64_t position) {
  return Parser(frame, available, segment_id, position).parse();
}

std::uint64_t checked_extent(const std::byte* frame, std::uint64_t available, std::uint64_t segment_id,
                             std::uint64_t position) noexcept {
  if (available < kMinExtent) return 0;
  const std::uint64_t extent = load_once(header_of(frame).extent);
  return opening_is_right(frame, extent, available, segment_id, position) ? extent : 0;
}

}  // namespace shmlane
