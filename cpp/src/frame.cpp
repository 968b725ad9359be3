// SPDX-License-Identifier: Apache-2.0
// Writing and checking single frames (SPEC section 4).
#include "shmlane/frame.hpp"

#include <cstring>
#include <limits>
#include <string>

#include "atomic.hpp"
#include "crash_point.hpp"
#include "shmlane/error.hpp"

namespace shmlane {
namespace {

using wire::FrameHeader;

// No address space holds more, and sums of two such lengths do not overflow.
constexpr std::uint64_t kMaxExtent = std::numeric_limits<std::int64_t>::max();
constexpr std::uint64_t kMinExtent = wire::payload_offset(0);

// One load whose value the compiler may not fetch a second time: another process may write here meanwhile. Relaxed,
// because whoever reads a frame has acquired it by its control word, and the sentinels catch everything else.
template <class T>
T load_once(const T& word) noexcept {
  return atomic(const_cast<T&>(word)).load(kRelaxed);
}

template <class T>
void store(T& word, T value) noexcept {
  atomic(word).store(value, kRelaxed);
}

class Parser {
 public:
  Parser(const std::byte* frame, std::uint64_t available, std::uint64_t segment_id, std::uint64_t position)
      : frame_(frame), available_(available), segment_id_(segment_id), position_(position) {}

  [[nodiscard]] FrameView parse() const {
    if (available_ < kMinExtent) corrupt("W-25", "only " + std::to_string(available_) + " bytes are there");
    const FrameExtents found = load_extents();
    check_extent(found);
    check_parts(found);
    check_close_sentinel(found);
    if (found.metadata_size == 0 || frame_[wire::kMetadataOffset] != std::byte{'{'}) {
      corrupt("W-26", "the metadata is not a JSON object: it does not begin with '{'");
    }
    return {{reinterpret_cast<const char*>(frame_ + wire::kMetadataOffset), found.metadata_size},
            {frame_ + found.payload_offset, found.payload_size}};
  }

 private:
  [[nodiscard]] const FrameHeader& header() const noexcept { return *reinterpret_cast<const FrameHeader*>(frame_); }

  [[nodiscard]] FrameExtents load_extents() const noexcept {
    return {load_once(header().extent), load_once(header().payload_size), load_once(header().metadata_size),
            load_once(header().payload_offset)};
  }

  void check_extent(const FrameExtents& found) const {
    if (load_once(header().open_sentinel) != wire::open_sentinel(segment_id_, position_, found.extent)) {
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

  void check_close_sentinel(const FrameExtents& found) const {
    const auto& close = *reinterpret_cast<const std::uint64_t*>(frame_ + found.payload_offset - wire::kSentinelSize);
    const std::uint64_t open = wire::open_sentinel(segment_id_, position_, found.extent);
    if (load_once(close) != wire::close_sentinel(open, found.payload_size, found.metadata_size, found.payload_offset)) {
      corrupt("W-22", "the close sentinel does not fit the lengths");
    }
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
  auto& header = *reinterpret_cast<FrameHeader*>(frame);
  SHMLANE_CRASH_POINT("frame.write.payload_size");
  store(header.payload_size, extents.payload_size);
  SHMLANE_CRASH_POINT("frame.write.metadata_size");
  store(header.metadata_size, extents.metadata_size);
  SHMLANE_CRASH_POINT("frame.write.payload_offset");
  store(header.payload_offset, extents.payload_offset);
  SHMLANE_CRASH_POINT("frame.write.metadata");
  if (!metadata.empty()) std::memcpy(frame + wire::kMetadataOffset, metadata.data(), metadata.size());
  const std::uint64_t close = wire::close_sentinel(load_once(header.open_sentinel), extents.payload_size,
                                                   extents.metadata_size, extents.payload_offset);
  SHMLANE_CRASH_POINT("frame.write.close");
  store(*reinterpret_cast<std::uint64_t*>(frame + extents.payload_offset - wire::kSentinelSize), close);
}

void open_frame(std::byte* frame, std::uint64_t segment_id, std::uint64_t position, std::uint64_t extent) noexcept {
  auto& header = *reinterpret_cast<FrameHeader*>(frame);
  SHMLANE_CRASH_POINT("frame.open.extent");
  store(header.extent, extent);
  SHMLANE_CRASH_POINT("frame.open.sentinel");
  store(header.open_sentinel, wire::open_sentinel(segment_id, position, extent));
}

FrameView parse_frame(const std::byte* frame, std::uint64_t available, std::uint64_t segment_id,
                      std::uint64_t position) {
  return Parser(frame, available, segment_id, position).parse();
}

std::uint64_t checked_extent(const std::byte* frame, std::uint64_t available, std::uint64_t segment_id,
                             std::uint64_t position) noexcept {
  if (available < kMinExtent) return 0;
  const auto& header = *reinterpret_cast<const FrameHeader*>(frame);
  const std::uint64_t extent = load_once(header.extent);
  const bool right = extent >= kMinExtent && extent % wire::kAlignment == 0 && extent <= available &&
                     load_once(header.open_sentinel) == wire::open_sentinel(segment_id, position, extent);
  return right ? extent : 0;
}

}  // namespace shmlane
