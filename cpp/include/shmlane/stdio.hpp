// SPDX-License-Identifier: Apache-2.0
// The same frames over any file descriptor: the portable baseline for shell pipes (SPEC section 6).
#pragma once

#include <cstdint>
#include <string_view>

#include "shmlane/object.hpp"
#include "shmlane/queue.hpp"

namespace shmlane {

inline constexpr std::uint64_t kDefaultMaxFrame = std::uint64_t{4} << 30;

// Writes frames to a descriptor that it borrows. Not thread-safe. A closed reader is BrokenPipe, never a signal.
class SHMLANE_EXPORT StdioProducer {
 public:
  explicit StdioProducer(int fd = 1);
  StdioProducer(const StdioProducer&) = delete;
  StdioProducer& operator=(const StdioProducer&) = delete;
  ~StdioProducer();  // writes the end frame unless close() did, or a write failed before

  template <Encodable T>
  void push(const T& object) {
    const auto metadata = Codec<T>::metadata(object);
    Object frame = Object::allocate(metadata, Codec<T>::payload_size(object));
    Codec<T>::write(object, frame.writable_payload());
    write({metadata, frame.payload()});
  }
  // Writes one frame as it is, with one system call where the kernel takes it whole.
  void write(FrameView frame);
  // Writes the end frame.
  void close();

 private:
  int fd_;
  bool open_ = true;
};

// Reads frames from a descriptor that it borrows. Not thread-safe.
class SHMLANE_EXPORT StdioConsumer {
 public:
  explicit StdioConsumer(int fd = 0, std::uint64_t max_frame = kDefaultMaxFrame);

  // The next object, or the end at an end frame (or a bare end of file between two frames). Throws Truncated in the
  // middle of a frame, Corrupt with the byte offset for a bad sentinel, a length beyond max_frame or bad metadata.
  [[nodiscard]] Taken<Object> pop();
  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }

 private:
  std::size_t read_some(void* out, std::size_t size);
  void read_all(void* out, std::size_t size, const char* what);

  int fd_;
  std::uint64_t max_frame_;
  std::uint64_t offset_ = 0;
  bool ended_ = false;
};

}  // namespace shmlane
