// SPDX-License-Identifier: Apache-2.0
// What a consumer receives: an Object owns a private copy of a frame, a Lease holds the frame where it lies.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "shmlane/codec.hpp"
#include "shmlane/export.hpp"

namespace shmlane {

// The parts that Object and Lease share. Not thread-safe; distinct instances are independent.
class SHMLANE_EXPORT Received {
 public:
  [[nodiscard]] std::string_view type() const { return metadata().type; }
  [[nodiscard]] const Metadata& metadata() const;
  [[nodiscard]] std::shared_ptr<const Metadata> metadata_ptr() const { return (void)metadata(), metadata_; }
  [[nodiscard]] std::string_view metadata_text() const { return view().metadata; }
  [[nodiscard]] std::span<const std::byte> payload() const& { return view().payload; }
  std::span<const std::byte> payload() const&& = delete;  // name the Object or Lease first: the view borrows from it

  // 0 for the first delivery; grows each time a consumer died while holding the frame.
  [[nodiscard]] unsigned attempt() const noexcept { return attempt_; }

  // The object as T, which may borrow from *this. Throws WrongType, Corrupt, or Closed after release.
  template <Decodable T>
  [[nodiscard]] T get() const& {
    return Codec<T>::read(metadata(), view().payload);
  }
  template <Decodable T>
  T get() const&& = delete;  // name the Object or Lease first: what get() returns may borrow from it

 protected:
  Received() = default;
  Received(FrameView view, unsigned attempt) : view_(view), attempt_(attempt), valid_(true) {}
  Received(Received&& other) noexcept
      : view_(other.view_),
        attempt_(other.attempt_),
        valid_(std::exchange(other.valid_, false)),
        metadata_(std::move(other.metadata_)) {}
  Received& operator=(Received&& other) noexcept {
    view_ = other.view_;
    attempt_ = other.attempt_;
    valid_ = std::exchange(other.valid_, false);
    metadata_ = std::move(other.metadata_);
    return *this;
  }
  ~Received() = default;

  // Throws Closed when invalid.
  [[nodiscard]] const FrameView& view() const {
    if (!valid_) [[unlikely]]
      throw_empty();
    return view_;
  }
  [[nodiscard]] bool valid() const noexcept { return valid_; }
  void invalidate() noexcept { valid_ = false; }

 private:
  [[noreturn]] static void throw_empty();

  FrameView view_{};
  unsigned attempt_ = 0;
  bool valid_ = false;
  mutable std::shared_ptr<const Metadata> metadata_;
};

// An owned copy of a frame: one allocation, the payload 64-byte aligned.
class SHMLANE_EXPORT Object : public Received {
 public:
  Object() = default;
  // Copies metadata and payload of `frame`.
  Object(FrameView frame, unsigned attempt);
  Object(Object&&) noexcept = default;
  Object& operator=(Object&&) noexcept = default;
  ~Object() = default;

  // Copies `metadata`; the payload is uninitialised memory, to be filled through writable_payload(). Throws TooLarge or
  // std::bad_alloc.
  static Object allocate(std::string_view metadata, std::uint64_t payload_size, unsigned attempt = 0);
  [[nodiscard]] std::span<std::byte> writable_payload() noexcept;

 private:
  explicit Object(std::unique_ptr<std::byte[]> memory, FrameView frame, unsigned attempt)
      : Received(frame, attempt), memory_(std::move(memory)) {}
  friend class StdioConsumer;
  static Object uninitialised(std::uint64_t metadata_size, std::uint64_t payload_size, unsigned attempt);

  std::unique_ptr<std::byte[]> memory_;
};

// The outcome of a pop or acquire: a T, nothing yet (empty), or the end of stream (ended).
template <class T>
class Taken {
 public:
  static Taken nothing() { return Taken(false); }
  static Taken end() { return Taken(true); }
  // NOLINTNEXTLINE(google-explicit-constructor): a T is the ordinary outcome
  Taken(T object) : object_(std::move(object)) {}
  template <class... Parts>
  explicit Taken(std::in_place_t in_place, Parts&&... parts) : object_(in_place, std::forward<Parts>(parts)...) {}

  explicit operator bool() const noexcept { return object_.has_value(); }
  [[nodiscard]] bool empty() const noexcept { return !object_ && !ended_; }
  [[nodiscard]] bool ended() const noexcept { return ended_; }

  T& operator*() & { return object_.value(); }
  const T& operator*() const& { return object_.value(); }
  T&& operator*() && { return std::move(object_).value(); }
  T* operator->() { return &object_.value(); }
  const T* operator->() const { return &object_.value(); }

 private:
  explicit Taken(bool ended) : ended_(ended) {}
  std::optional<T> object_;
  bool ended_ = false;
};

}  // namespace shmlane
