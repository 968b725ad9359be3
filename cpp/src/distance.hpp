// SPDX-License-Identifier: Apache-2.0
// How far away the consumers' cores are: how long a line takes to come that one of them has just written.
//
// Where cores share a last-level cache, that is some 30 to 100 ns, and a payload comes quickest out of that cache. Where
// they do not (chiplets, sockets), it is 200 ns and more, memory is nearer than the other one's cache, and each line in
// there that is written again has to be taken back first. Who is far therefore writes payloads past the caches.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "atomic.hpp"
#include "os/clock.hpp"
#include "participants.hpp"
#include "ring_parts.hpp"

namespace shmlane {

// What one producing handle knows. far(): thread-safe; look(): under producers_lock.
class Distance {
 public:
  [[nodiscard]] bool far() const noexcept { return far_.load(kRelaxed); }

  // Now and then while `head` moves on: fetches the count of what a consumer took. If that has changed since the last
  // time, then the line came from the consumer's cache.
  void look(const Participants& participants, Position head) noexcept {
    if (head - looked_at_ < kBetween) return;
    looked_at_ = head;
    const std::int64_t begin = os::monotonic_ns();
    const std::uint64_t popped = popped_by(participants, index_);
    const std::int64_t end = os::monotonic_ns();
    const std::int64_t took = (end - begin) - (os::monotonic_ns() - end);  // without what it takes to look at the clock
    if (popped == popped_) {
      index_ = index_ + 1 < participants.used() ? index_ + 1 : 0;
      popped_ = popped_by(participants, index_);
      return;
    }
    popped_ = popped;
    votes_ = std::clamp(votes_ + (took > kFarNs ? 1 : -1), 0, kSure);
    if (votes_ == 0) far_.store(false, kRelaxed);
    if (votes_ == kSure) far_.store(true, kRelaxed);
  }

 private:
  static constexpr std::uint64_t kBetween = std::uint64_t{1} << 20;  // bytes
  static constexpr std::int64_t kFarNs = 80;
  static constexpr int kSure = 4;

  static std::uint64_t popped_by(const Participants& participants, unsigned index) noexcept {
    return atomic(participants.entry(index).popped).load(kAcquire);
  }

  std::atomic<bool> far_{false};
  int votes_ = 0;
  unsigned index_ = 0;
  std::uint64_t popped_ = 0;
  Position looked_at_ = 0;
};

}  // namespace shmlane
