// SPDX-License-Identifier: Apache-2.0
// Frames over a descriptor (SPEC section 6).
#include "shmlane/stdio.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "os/pipe.hpp"
#include "shmlane/error.hpp"
#include "shmlane/log.hpp"

namespace shmlane {
namespace {

using wire::StdioHeader;
using wire::StdioKind;

constexpr std::uint64_t kMostMemory = std::uint64_t{1} << 62;  // a limit beyond it is none

iovec part(const void* data, std::size_t size) noexcept { return {const_cast<void*>(data), size}; }

void write_one(int fd, StdioKind kind, FrameView frame, InterruptCheck interrupt_check) {
  StdioHeader header{};
  header.magic = wire::kStdioMagic;
  header.kind = static_cast<std::uint32_t>(kind);
  header.metadata_size = static_cast<std::uint32_t>(frame.metadata.size());
  header.payload_size = frame.payload.size();
  header.sentinel = wire::stdio_sentinel(header.kind, header.metadata_size, header.payload_size);
  const std::uint64_t end = wire::stdio_end_sentinel(header.sentinel);
  std::array parts{part(&header, sizeof header), part(frame.metadata.data(), frame.metadata.size()),
                   part(frame.payload.data(), frame.payload.size()), part(&end, sizeof end)};
  os::write_all(fd, parts, interrupt_check);
}

[[noreturn]] void corrupt(const char* rule, std::uint64_t offset, const std::string& why) {
  throw Corrupt("corrupt stream of frames at byte " + std::to_string(offset) + " (" + rule + "): " + why);
}

[[noreturn]] void truncated(const char* where, std::uint64_t offset) {
  throw Truncated("the stream of frames ends at byte " + std::to_string(offset) +
                  " (W-67), in the middle of a frame's " + where + "; its producer died, or the file was cut off");
}

}  // namespace

// ---- StdioProducer -------------------------------------------------------------------------------------------------

StdioProducer::StdioProducer(int fd, InterruptCheck interrupt_check) : fd_(fd), interrupt_check_(interrupt_check) {
  os::enlarge_pipe(fd);
}

StdioProducer::~StdioProducer() {
  try {
    close();
  } catch (const BrokenPipe&) {  // the reader has had enough, and misses nothing but the end
  } catch (const std::exception& error) {
    log(LogLevel::kWarning, std::string("the end of a stream of frames was not written: ") + error.what());
  }
}

void StdioProducer::write(FrameView frame) {
  if (!open_) throw Closed("this stream of frames was closed, or an earlier write to it failed");
  // Refuses what the reader would refuse, before anything is written.
  static_cast<void>(frame_extents(frame.metadata.size(), frame.payload.size()));
  if (!frame.metadata.starts_with('{')) throw InvalidArgument("metadata is not a JSON object");
  open_ = false;  // for good, should the write fail: the stream then ends in the middle of a frame
  write_one(fd_, StdioKind::kData, frame, interrupt_check_);
  open_ = true;
}

void StdioProducer::close() {
  if (!open_) return;
  open_ = false;
  write_one(fd_, StdioKind::kEnd, {}, interrupt_check_);
}

// ---- StdioConsumer -------------------------------------------------------------------------------------------------

StdioConsumer::StdioConsumer(int fd, std::uint64_t max_frame, InterruptCheck interrupt_check)
    : fd_(fd), max_frame_(std::min(max_frame, kMostMemory)), interrupt_check_(interrupt_check) {
  os::enlarge_pipe(fd);
}

Taken<Object> StdioConsumer::pop() {
  if (ended_) return Taken<Object>::end();
  if (lost_) corrupt("W-67", offset_, "a frame broke off before, so nothing after it can be understood");
  const std::uint64_t start = offset_;
  StdioHeader header{};
  ended_ = !read_header(header);
  if (ended_) return Taken<Object>::end();
  Object object = read_body(header);
  lost_ = false;
  ended_ = header.kind == static_cast<std::uint32_t>(StdioKind::kEnd);
  if (ended_) return Taken<Object>::end();
  try {
    static_cast<void>(object.metadata());
  } catch (const Corrupt& error) {
    corrupt("W-66", start + sizeof header, error.what());
  }
  return object;
}

// False at the end of the file. From its first byte on, until the frame is complete, whatever is thrown loses the stream.
bool StdioConsumer::read_header(StdioHeader& header) {
  const std::uint64_t start = offset_;
  std::array parts{part(&header, sizeof header)};
  std::size_t done = os::read_some(fd_, parts, interrupt_check_);
  if (done == 0) return false;
  lost_ = true;
  parts[0] = part(reinterpret_cast<std::byte*>(&header) + done, sizeof header - done);
  done += os::read_all(fd_, parts, interrupt_check_);
  offset_ += done;
  if (done < sizeof header) truncated("header", offset_);
  if (header.magic != wire::kStdioMagic) corrupt("W-60", start, "no frame of shmlane begins there: the magic is wrong");
  if (header.sentinel != wire::stdio_sentinel(header.kind, header.metadata_size, header.payload_size)) {
    corrupt("W-61", start, "the header's sentinel does not fit its fields");
  }
  check_header(header, start);
  return true;
}

void StdioConsumer::check_header(const StdioHeader& header, std::uint64_t start) const {
  const auto kind = static_cast<StdioKind>(header.kind);
  if (kind != StdioKind::kData && kind != StdioKind::kEnd) {
    corrupt("W-63", start, "unknown kind of frame: " + std::to_string(header.kind));
  }
  if (kind == StdioKind::kEnd && (header.metadata_size != 0 || header.payload_size != 0)) {
    corrupt("W-64", start, "an end frame with contents");
  }
  if (header.metadata_size > wire::kMaxMetadataBytes || header.payload_size > max_frame_ ||
      header.metadata_size > max_frame_ - header.payload_size) {
    corrupt("W-65", start,
            "a frame of " + std::to_string(header.metadata_size) + " + " + std::to_string(header.payload_size) +
                " bytes; the limit is " + std::to_string(max_frame_) + " bytes");
  }
}

// The memory is allocated whole although the length may be a lie: the kernel gives pages as they are filled, so a short
// stream costs what it holds, and a long payload is never copied in order to grow.
Object StdioConsumer::read_body(const StdioHeader& header) {
  Object object = Object::uninitialised(header.metadata_size, header.payload_size, 0);
  const std::string_view metadata = object.metadata_text();
  const std::span<std::byte> payload = object.writable_payload();
  std::uint64_t end = 0;
  std::array parts{part(metadata.data(), metadata.size()), part(payload.data(), payload.size()),
                   part(&end, sizeof end)};
  const std::size_t done = os::read_all(fd_, parts, interrupt_check_);
  offset_ += done;
  if (done < metadata.size()) truncated("metadata", offset_);
  if (done - metadata.size() < payload.size()) truncated("payload", offset_);
  if (done - metadata.size() - payload.size() < sizeof end) truncated("end sentinel", offset_);
  if (end != wire::stdio_end_sentinel(header.sentinel)) {
    corrupt("W-62", offset_ - sizeof end, "the end sentinel is wrong");
  }
  return object;
}

}  // namespace shmlane
