// SPDX-License-Identifier: Apache-2.0
// The same frames over any file descriptor: the portable baseline for shell pipes (SPEC section 6).
#pragma once

#include <cstdint>
#include <string_view>

#include "shmlane/codec.hpp"
#include "shmlane/export.hpp"
#include "shmlane/object.hpp"
#include "shmlane/options.hpp"

namespace shmlane {

inline constexpr std::uint64_t kDefaultMaxFrame = std::uint64_t{4} << 30;

// Writes frames to a descriptor that it borrows. Not thread-safe. A closed reader is BrokenPipe, never a signal.
class SHMLANE_EXPORT StdioProducer {
 public:
  // `interrupt_check` is called whenever a signal interrupts a wait; what it throws ends the call and the stream.
  explicit StdioProducer(int fd = 1, InterruptCheck interrupt_check = nullptr);
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
  // Writes one frame as it is, with one system call where the kernel takes it whole. Throws BrokenPipe, SystemError,
  // TooLarge, InvalidArgument for metadata that is no JSON object, or Closed after close() or a write that failed.
  void write(FrameView frame);
  // Writes the end frame; idempotent.
  void close();
  // Ends this without an end frame, as if its process had died here. Idempotent.
  void abandon() noexcept { open_ = false; }

 private:
  int fd_;
  InterruptCheck interrupt_check_;
  bool open_ = true;
};

// Reads frames from a descriptor that it borrows, never a byte beyond the frame it returns. Not thread-safe.
class SHMLANE_EXPORT StdioConsumer {
 public:
  // `max_frame` limits metadata and payload together, in bytes; `interrupt_check` is as for the producer.
  explicit StdioConsumer(int fd = 0, std::uint64_t max_frame = kDefaultMaxFrame,
                         InterruptCheck interrupt_check = nullptr);

  // The next object, or the end at an end frame (or a bare end of file between two frames). Throws Truncated in the
  // middle of a frame, Corrupt with the byte offset for a bad sentinel, a length beyond max_frame or bad metadata. After
  // bad metadata the next frame can be read; after anything else that broke a frame off, every call throws Corrupt.
  [[nodiscard]] Taken<Object> pop();
  // Bytes read so far.
  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }

 private:
  [[nodiscard]] bool read_header(wire::StdioHeader& header);
  void check_header(const wire::StdioHeader& header, std::uint64_t start) const;
  [[nodiscard]] Object read_body(const wire::StdioHeader& header);

  int fd_;
  std::uint64_t max_frame_;
  InterruptCheck interrupt_check_;
  std::uint64_t offset_ = 0;
  bool ended_ = false;
  bool lost_ = false;  // in the middle of a frame
};

}  // namespace shmlane
