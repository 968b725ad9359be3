// SPDX-License-Identifier: Apache-2.0
// Names, checks and mappings of segments.
#include "segment.hpp"

#include <array>
#include <cstdio>

#include "atomic.hpp"
#include "shmlane/error.hpp"
#include "utf8.hpp"

namespace shmlane {
namespace {

boost::interprocess::mapped_region map_head(const os::ShmFile& file, const std::string& name, bool writable) {
  if (file.size() < wire::kBodyOffset) {
    throw Foreign("/dev/shm/" + segment_file_name(name) +
                  " is too short for a segment of shmlane; another program made it");
  }
  return file.map(0, wire::kBodyOffset, writable);
}

}  // namespace

std::string segment_file_name(std::string_view name) {
  const auto refuse = [&](const char* why) {
    throw InvalidName("the name '" + std::string(name.substr(0, wire::kMaxNameBytes)) + "' " + why +
                      "; a name is 1 to 200 bytes of UTF-8 without '/' and NUL");
  };
  if (name.empty()) refuse("is empty");
  if (name.size() > wire::kMaxNameBytes) refuse("is too long");
  if (name.find('/') != name.npos) refuse("contains '/'");
  if (name.find('\0') != name.npos) refuse("contains NUL");
  if (!valid_utf8(name)) refuse("is not UTF-8");
  return std::string(kSegmentPrefix).append(name);
}

std::string semaphore_name(std::string_view segment_name, std::uint64_t segment_id, std::string_view which) {
  std::array<char, 17> id{};
  std::snprintf(id.data(), id.size(), "%016llx", static_cast<unsigned long long>(segment_id));
  return "/" + segment_file_name(segment_name) + "." + id.data() + "." + std::string(which);
}

std::string_view kind_name(wire::Kind kind) noexcept {
  switch (kind) {
    case wire::Kind::kQueue:
      return "queue";
    case wire::Kind::kStream:
      return "stream";
    case wire::Kind::kTensor:
      return "tensor";
  }
  return "unknown";
}

Segment::Segment(std::string name, os::ShmFile&& file, bool writable)
    : name_(std::move(name)), writable_(writable), head_(map_head(file, name_, writable)), file_(std::move(file)) {}

wire::SegmentState Segment::state() const noexcept {
  // Pairs with the release stores of the state by whoever makes, lays out or removes the segment.
  return static_cast<wire::SegmentState>(atomic(header().state).load(kAcquire));
}

void Segment::check(wire::Kind kind) const {
  const wire::SegmentHeader& found = header();
  if (found.magic != wire::kMagic) {
    throw Foreign("/dev/shm/" + segment_file_name(name_) + " is not a segment of shmlane; another program made it");
  }
  if (found.version != wire::kVersion) {
    throw WrongVersion("the segment '" + name_ + "' has wire format version " + std::to_string(found.version) +
                       ", this program speaks version " + std::to_string(wire::kVersion) +
                       "; use the same release of shmlane on both sides");
  }
  if (found.layout != wire::kLayout) {
    throw WrongLayout("the segment '" + name_ +
                      "' was made by a build of shmlane with another layout; use the same "
                      "release on both sides");
  }
  if (kind != wire::Kind{} && found.kind != static_cast<std::uint32_t>(kind)) {
    throw WrongKind("'" + name_ + "' is a " + std::string(kind_name(static_cast<wire::Kind>(found.kind))) + ", not a " +
                    std::string(kind_name(kind)) + "; choose another name");
  }
}

bool Segment::map_body() {
  if (body_.get_address() != nullptr) return true;
  if (!file_.intact()) throw Evicted("the descriptor of '" + name_ + "' was closed by this program; open a new handle");
  const wire::SegmentState state = this->state();
  const std::uint64_t offset = atomic(header().body_offset).load(kRelaxed);
  const std::uint64_t size = atomic(header().body_size).load(kRelaxed);
  // Who lives in a segment that was removed by force goes on in it, also if it had not needed the body until then.
  const bool laid_out = state == wire::SegmentState::kReady || (state == wire::SegmentState::kRemoved && size != 0);
  if (!laid_out) return false;
  const std::uint64_t file_size = file_.size();
  if (offset != wire::kBodyOffset || size == 0 || size % wire::kPageSize != 0 || size > file_size ||
      offset > file_size - size) {
    throw Corrupt("the header of the segment '" + name_ +
                  "' names a body outside of its file; remove it with: shmlane rm --force " + name_);
  }
  body_ = file_.map(offset, size, writable_ && write_body_);
  return true;
}

}  // namespace shmlane
