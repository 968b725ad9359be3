// SPDX-License-Identifier: Apache-2.0
// One named shared-memory file with a header: opened, checked, mapped (SPEC sections 2 and 7).
#pragma once

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "os/shm.hpp"
#include "shmlane/wire_array.hpp"

namespace shmlane {

inline constexpr std::string_view kSegmentPrefix = "shmlane.";

// "shmlane." + name. Throws InvalidName.
std::string segment_file_name(std::string_view name);
// The semaphore that producers (".space") or consumers (".items") of a segment sleep on.
std::string semaphore_name(std::string_view segment_name, std::uint64_t segment_id, std::string_view which);
std::string_view kind_name(wire::Kind kind) noexcept;

// A mapping of one segment's file. Not thread-safe but for the accessors, whose memory is shared by everybody.
class Segment {
 public:
  // Takes an open file, or throws Foreign if it is too short for a header; then it stays the caller's.
  Segment(std::string name, os::ShmFile&& file, bool writable = true);
  ~Segment() = default;
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  // Throws Foreign, WrongVersion, WrongLayout or WrongKind (`kind` 0: any) unless this program can use the file.
  void check(wire::Kind kind) const;
  // From now on the body is mapped read-only.
  void protect_body() noexcept { write_body_ = false; }
  // Maps the body, if it is laid out and not mapped yet. True if it is mapped now. Throws Corrupt.
  bool map_body();

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] os::ShmFile& file() noexcept { return file_; }
  [[nodiscard]] wire::SegmentHeader& header() const noexcept { return *at<wire::SegmentHeader>(0); }
  [[nodiscard]] wire::ParticipantEntry* table() const noexcept {
    return at<wire::ParticipantEntry>(wire::kTableOffset);
  }
  [[nodiscard]] wire::RingControl& control() const noexcept { return *at<wire::RingControl>(wire::kControlOffset); }
  [[nodiscard]] wire::StreamControl& stream_control() const noexcept {
    return *at<wire::StreamControl>(wire::kControlOffset);
  }
  [[nodiscard]] wire::TensorControl& tensor_control() const noexcept {
    return *at<wire::TensorControl>(wire::kControlOffset);
  }
  [[nodiscard]] wire::ArrayHeader& array() const noexcept { return *at<wire::ArrayHeader>(wire::kArrayOffset); }
  [[nodiscard]] wire::Kind kind() const noexcept { return static_cast<wire::Kind>(header().kind); }
  [[nodiscard]] wire::SegmentState state() const noexcept;
  [[nodiscard]] std::byte* body() const noexcept { return static_cast<std::byte*>(body_.get_address()); }
  // Bytes of the mapped body, a private copy; 0 while it is not mapped.
  [[nodiscard]] std::uint64_t capacity() const noexcept { return body_.get_address() ? body_.get_size() : 0; }

 private:
  template <class T>
  [[nodiscard]] T* at(std::size_t offset) const noexcept {
    return reinterpret_cast<T*>(static_cast<std::byte*>(head_.get_address()) + offset);
  }

  std::string name_;
  bool writable_;
  bool write_body_ = true;
  boost::interprocess::mapped_region head_;
  boost::interprocess::mapped_region body_;
  os::ShmFile file_;  // taken last
};

}  // namespace shmlane
