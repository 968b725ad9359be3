// SPDX-License-Identifier: Apache-2.0
// Payloads of which every byte can be checked: a stamp that says who pushed what, then bytes that follow from it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "shmlane/codecs.hpp"
#include "shmlane/object.hpp"
#include "shmlane/queue.hpp"

namespace payloads {

struct Stamp {
  std::uint32_t producer;
  std::uint32_t sequence;
};

// A cheap generator of bytes that look random (xorshift64*).
class Bytes {
 public:
  explicit Bytes(std::uint64_t seed) noexcept : state_(seed * 0x9e3779b97f4a7c15 | 1) {}
  std::uint64_t next() noexcept {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1d;
  }

 private:
  std::uint64_t state_;
};

inline void fill(std::span<std::byte> out, std::uint64_t seed) noexcept {
  Bytes bytes(seed);
  for (std::size_t i = 0; i < out.size(); i += 8) {
    const std::uint64_t word = bytes.next();
    std::memcpy(out.data() + i, &word, out.size() - i < 8 ? out.size() - i : 8);
  }
}

inline bool matches(std::span<const std::byte> found, std::uint64_t seed) noexcept {
  Bytes bytes(seed);
  for (std::size_t i = 0; i < found.size(); i += 8) {
    const std::uint64_t word = bytes.next();
    if (std::memcmp(found.data() + i, &word, found.size() - i < 8 ? found.size() - i : 8) != 0) return false;
  }
  return true;
}

inline std::uint64_t seed_of(Stamp stamp, std::size_t size) noexcept {
  return (std::uint64_t{stamp.producer} << 40) ^ (std::uint64_t{stamp.sequence} << 8) ^ size;
}

inline void fill_stamped(std::span<std::byte> out, Stamp stamp) noexcept {
  std::memcpy(out.data(), &stamp, sizeof stamp);
  fill(out.subspan(sizeof stamp), seed_of(stamp, out.size()));
}

// `size` bytes, at least the stamp's 8.
inline std::vector<std::byte> stamped(Stamp stamp, std::size_t size) {
  std::vector<std::byte> bytes(size);
  fill_stamped(bytes, stamp);
  return bytes;
}

// The stamp of what arrived. Throws if one byte of the rest is not what follows from it.
inline Stamp check_stamped(std::span<const std::byte> found) {
  Stamp stamp{};
  if (found.size() < sizeof stamp) throw std::runtime_error("a payload is too short for its stamp");
  std::memcpy(&stamp, found.data(), sizeof stamp);
  if (!matches(found.subspan(sizeof stamp), seed_of(stamp, found.size()))) {
    throw std::runtime_error("a byte is wrong in object " + std::to_string(stamp.sequence) + " of producer " +
                             std::to_string(stamp.producer));
  }
  return stamp;
}

// Pushes an object of `size` bytes in all, filled in place.
inline shmlane::PushResult push_stamped(shmlane::Producer& producer, Stamp stamp, std::size_t size,
                                        shmlane::Timeout timeout = shmlane::forever) {
  return producer.push_frame(
      R"({"type":"bytes"})", size, timeout, &stamp,
      [](const void* source, std::span<std::byte> out) { fill_stamped(out, *static_cast<const Stamp*>(source)); });
}

// The payload that makes a frame with metadata {"type":"bytes"} `extent` bytes long.
constexpr std::size_t payload_for(std::size_t extent) noexcept { return extent - 64; }

inline std::string text(const shmlane::Received& received) {
  const std::span<const std::byte> bytes = received.payload();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace payloads
