// SPDX-License-Identifier: Apache-2.0
// How far away the consumers' cores are: how long a line takes to come that one of them has just written.
//
// Where cores share a last-level cache, that is some 20 to 60 ns, and a payload comes quickest out of that cache. Where
// they do not (chiplets, sockets), it is 100 ns and more, memory is nearer than the other one's cache, and each line in
// there that is to be written again has to be taken back first. Who is far therefore writes payloads past the caches.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "os/clock.hpp"
#include "participants.hpp"
#include "ring_parts.hpp"
#include "shmlane/error.hpp"

namespace shmlane {

// What one producing handle knows; near, as long as it does not know. Thread-safe: calls at the same time may lose each
// other's votes, no more.
class Distance {
 public:
  enum class Asked : std::uint8_t { kMeasure, kNear, kFar };

  // What the environment asks for by SHMLANE_DISTANCE. Throws InvalidArgument.
  [[nodiscard]] static Asked asked() {
    const char* const value = ::secure_getenv("SHMLANE_DISTANCE");
    const std::string_view word = value == nullptr ? "" : value;
    if (word == "near") return Asked::kNear;
    if (word == "far") return Asked::kFar;
    if (word.empty()) return Asked::kMeasure;
    throw InvalidArgument("SHMLANE_DISTANCE is '" + std::string(word) +
                          "'; it must be 'near' or 'far', or not there, and it is measured");
  }

  explicit Distance(Asked asked = Asked::kMeasure) noexcept
      : measured_(asked == Asked::kMeasure), far_(asked == Asked::kFar) {}

  [[nodiscard]] bool far() const noexcept { return far_.load(kRelaxed); }

  // Now and then while the ring moves on: fetches the count of what a consumer took. If that has changed since the last
  // look, then the line came from the consumer's cache.
  void look(const Participants& participants, Position head) noexcept {
    if (!measured_ || head - looked_at_.load(kRelaxed) < kBetween) return;
    looked_at_.store(head, kRelaxed);
    const unsigned index = index_.load(kRelaxed);
    const std::int64_t begin = os::monotonic_ns();
    const std::uint64_t popped = popped_by(participants, index);
    const std::int64_t end = os::monotonic_ns();
    const std::int64_t clock = os::monotonic_ns() - end;  // what a look at it takes
    if (popped != popped_.load(kRelaxed)) {
      if (clock < kFarNs) vote(end - begin - clock);
      popped_.store(popped, kRelaxed);
      return;
    }
    const unsigned next = index + 1 < participants.used() ? index + 1 : 0;
    index_.store(next, kRelaxed);
    popped_.store(popped_by(participants, next), kRelaxed);
  }

  // One line came within so many nanoseconds. It takes several to change one's mind: each may have been interrupted.
  void vote(std::int64_t took) noexcept {
    const int votes = std::clamp(votes_.load(kRelaxed) + (took > kFarNs ? 1 : -1), 0, kSure);
    votes_.store(votes, kRelaxed);
    if (votes == 0) far_.store(false, kRelaxed);
    if (votes == kSure) far_.store(true, kRelaxed);
  }

 private:
  static constexpr std::uint64_t kBetween = std::uint64_t{1} << 20;  // bytes
  static constexpr std::int64_t kFarNs = 80;
  static constexpr int kSure = 4;

  static std::uint64_t popped_by(const Participants& participants, unsigned index) noexcept {
    return atomic(participants.entry(index).popped).load(kAcquire);
  }

  bool measured_;
  std::atomic<bool> far_;
  std::atomic<int> votes_{0};
  std::atomic<unsigned> index_{0};
  std::atomic<std::uint64_t> popped_{0};
  std::atomic<Position> looked_at_{0};
};

}  // namespace shmlane
