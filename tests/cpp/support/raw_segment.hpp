// SPDX-License-Identifier: Apache-2.0
// Segments' files behind the library's back: written by hand, or mapped to be scribbled over.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>

#include "shmlane/wire_array.hpp"

namespace raw {

inline std::string path_of(const std::string& name) { return "/dev/shm/shmlane." + name; }

// A mapping of a whole segment file, writable. Created with `size` bytes if `size` is not 0.
class Segment {
 public:
  explicit Segment(const std::string& name, std::size_t size = 0) {
    const int fd = ::open(path_of(name).c_str(), size != 0 ? O_RDWR | O_CREAT | O_EXCL : O_RDWR, 0600);
    struct stat status {};
    const bool sized =
        fd >= 0 && (size == 0 || ::ftruncate(fd, static_cast<off_t>(size)) == 0) && ::fstat(fd, &status) == 0;
    if (sized) {
      size_ = static_cast<std::size_t>(status.st_size);
      void* memory = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      if (memory != MAP_FAILED) bytes_ = static_cast<std::byte*>(memory);
    }
    if (fd >= 0) ::close(fd);
    if (bytes_ == nullptr) throw std::runtime_error("cannot map " + path_of(name));
  }
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;
  ~Segment() { ::munmap(bytes_, size_); }

  [[nodiscard]] std::byte* bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] shmlane::wire::SegmentHeader& header() const noexcept { return at<shmlane::wire::SegmentHeader>(0); }
  [[nodiscard]] shmlane::wire::RingControl& control() const noexcept {
    return at<shmlane::wire::RingControl>(shmlane::wire::kControlOffset);
  }
  [[nodiscard]] shmlane::wire::StreamControl& stream() const noexcept {
    return at<shmlane::wire::StreamControl>(shmlane::wire::kControlOffset);
  }
  [[nodiscard]] shmlane::wire::TensorControl& tensor() const noexcept {
    return at<shmlane::wire::TensorControl>(shmlane::wire::kControlOffset);
  }
  [[nodiscard]] shmlane::wire::ArrayHeader& array() const noexcept {
    return at<shmlane::wire::ArrayHeader>(shmlane::wire::kArrayOffset);
  }
  [[nodiscard]] shmlane::wire::ParticipantEntry& entry(std::size_t index) const noexcept {
    return at<shmlane::wire::ParticipantEntry>(shmlane::wire::kTableOffset +
                                               index * sizeof(shmlane::wire::ParticipantEntry));
  }
  // The frame whose header stands `offset` bytes into the ring.
  [[nodiscard]] shmlane::wire::FrameHeader& frame(std::size_t offset) const noexcept {
    return at<shmlane::wire::FrameHeader>(shmlane::wire::kBodyOffset + offset);
  }

 private:
  template <class T>
  [[nodiscard]] T& at(std::size_t offset) const noexcept {
    return *reinterpret_cast<T*>(bytes_ + offset);
  }
  std::byte* bytes_ = nullptr;
  std::size_t size_ = 0;
};

// A header as an empty queue has it before anybody named a capacity.
inline shmlane::wire::SegmentHeader valid_header() {
  shmlane::wire::SegmentHeader header{};
  header.magic = shmlane::wire::kMagic;
  header.version = shmlane::wire::kVersion;
  header.kind = static_cast<std::uint32_t>(shmlane::wire::Kind::kQueue);
  header.layout = shmlane::wire::kLayout;
  header.segment_id = 0x1234567812345678;
  header.state = static_cast<std::uint32_t>(shmlane::wire::SegmentState::kHeader);
  header.body_offset = shmlane::wire::kBodyOffset;
  header.mode = 0600;
  return header;
}

}  // namespace raw
