// SPDX-License-Identifier: Apache-2.0
// What a handle may hold in a ring: a Reservation of a producer, a Lease of a consumer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shmlane/export.hpp"
#include "shmlane/frame.hpp"
#include "shmlane/object.hpp"

namespace shmlane {

class QueueCore;  // the participant whose hold it is (private)

// A place in the ring that one producer fills. Must be committed, or is aborted at the end of its life.
class SHMLANE_EXPORT Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept;
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation();

  // Writable memory in the ring, 64-byte aligned, uninitialised. Throws Closed after commit or abort.
  [[nodiscard]] std::span<std::byte> payload() const;
  [[nodiscard]] bool open() const noexcept { return core_ != nullptr; }
  // Keeps the ring mapped for whoever may still hold pointers into payload() after commit or abort; null then.
  [[nodiscard]] std::shared_ptr<const void> memory() const noexcept { return core_; }

  // Publishes the whole payload with the metadata given to reserve().
  void commit();
  // Publishes the first `payload_size` bytes with other metadata. Throws TooLarge if either needs more than reserved.
  void commit(std::string_view metadata, std::uint64_t payload_size);
  void abort() noexcept;

 private:
  friend class Producer;
  friend class SentFrame;
  std::shared_ptr<QueueCore> core_;
  std::byte* frame_ = nullptr;
  std::uint64_t position_ = 0;
  std::uint64_t participant_ = 0;
  FrameExtents extents_{};
  std::string metadata_;
};

// What becomes of a frame after its commit, for who lent something with it that lives outside of the ring. Keeps the
// participant attached, as a lease does, also when its handle is closed: so the others can ask whether it lives.
class SHMLANE_EXPORT SentFrame {
 public:
  // Of an open reservation. Throws Closed.
  explicit SentFrame(const Reservation& reservation);
  SentFrame(SentFrame&& other) noexcept;
  SentFrame& operator=(SentFrame&& other) noexcept;
  ~SentFrame();

  // Whether it is still being written, or read, or may be read: false for good once it was released, dropped or aborted.
  [[nodiscard]] bool in_use() const noexcept;

 private:
  void let_go() noexcept;

  std::shared_ptr<QueueCore> core_;
  std::byte* frame_ = nullptr;
  std::uint64_t position_ = 0;
  std::uint64_t participant_ = 0;
};

// A frame held by one consumer and read in place. Released at the end of its life; may outlive its Consumer.
class SHMLANE_EXPORT Lease : public Received {
  struct Parts {
    FrameView view;
    unsigned attempt;
    QueueCore* core;
    std::byte* frame;
    std::uint64_t participant;
  };

 public:
  Lease() = default;
  // Only a Consumer can name what this takes.
  explicit Lease(Parts&& parts)
      : Received(parts.view, parts.attempt), core_(parts.core), frame_(parts.frame), participant_(parts.participant) {}
  Lease(Lease&& other) noexcept
      : Received(std::move(other)),
        core_(std::exchange(other.core_, nullptr)),
        frame_(other.frame_),
        participant_(other.participant_) {}
  Lease& operator=(Lease&& other) noexcept;
  ~Lease() {
    if (core_ != nullptr) release();
  }

  // Gives the frame back; every later use of this lease throws Closed. Any order among leases.
  void release() noexcept;

 private:
  friend class Consumer;
  QueueCore* core_ = nullptr;  // which lives as long as it counts this lease
  std::byte* frame_ = nullptr;
  std::uint64_t participant_ = 0;
};

// Frames held by one consumer, read in place and released together at the end of its life: a range of Received, in the
// order of the queue. May outlive its Consumer. Its elements are not to be used after it.
class SHMLANE_EXPORT LeasedBatch {
 public:
  // One of them.
  class Frame : public Received {
   public:
    Frame(FrameView view, unsigned attempt, std::byte* frame) : Received(view, attempt), frame_(frame) {}

   private:
    friend class LeasedBatch;
    std::byte* frame_;
  };

  LeasedBatch() = default;
  LeasedBatch(LeasedBatch&& other) noexcept
      : core_(std::exchange(other.core_, nullptr)),
        frames_(std::move(other.frames_)),
        participant_(other.participant_) {}
  LeasedBatch& operator=(LeasedBatch&& other) noexcept;
  ~LeasedBatch() {
    if (core_ != nullptr) release();
  }

  [[nodiscard]] std::size_t size() const noexcept { return frames_.size(); }
  [[nodiscard]] bool empty() const noexcept { return frames_.empty(); }
  [[nodiscard]] auto begin() const noexcept { return frames_.begin(); }
  [[nodiscard]] auto end() const noexcept { return frames_.end(); }
  [[nodiscard]] const Frame& operator[](std::size_t index) const { return frames_.at(index); }

  // Gives the frames back; the batch is empty then.
  void release() noexcept;

 private:
  friend class Consumer;
  QueueCore* core_ = nullptr;  // as Lease's
  std::vector<Frame> frames_;
  std::uint64_t participant_ = 0;
};

}  // namespace shmlane
