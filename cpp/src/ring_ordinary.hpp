// SPDX-License-Identifier: Apache-2.0
// The ring's hot path (ring.hpp), inline and in few instructions: what is done with one frame, and step 1 in the ordinary
// case, in which the lock is free and nothing is in the way; any other is left to reserve() in ring.cpp. Steps 4 to 6 are
// in ring_taking.hpp.
#pragma once

#include <algorithm>

#include "crash_point.hpp"
#include "frame_access.hpp"
#include "ring.hpp"

namespace shmlane {

inline constexpr std::uint64_t kAhead = 16;         // frames
inline constexpr std::uint64_t kSmallExtent = 512;  // longer ones the processor fetches ahead by itself

// Asks for the lines of a frame that will be written soon, so that the stores of its turn do not wait for them.
inline void prefetch_for_write(const std::byte* frame) noexcept {
#if defined(__x86_64__)
  // What __builtin_prefetch() makes of it without -mprfchw fetches for reading.
  asm volatile("prefetchw %0" : : "m"(frame[0]));
  asm volatile("prefetchw %0" : : "m"(frame[wire::kAlignment]));
#else
  __builtin_prefetch(frame, 1);
  __builtin_prefetch(frame + wire::kAlignment, 1);
#endif
}

// Counters are written under the lock of their side by the entry's owner: a load and a store are enough.
inline void add_under_lock(std::uint64_t& counter, std::uint64_t amount) noexcept {
  const auto word = atomic(counter);
  word.store(word.load(kRelaxed) + amount, kRelaxed);
}

// ---- Step 1 --------------------------------------------------------------------------------------------------------

inline void Ring::open_frame_at(std::byte* frame, Position position, std::uint64_t extent,
                                Control control) const noexcept {
  frame_access::open(frame, segment_id_, position, extent);
  SHMLANE_CRASH_POINT("ring.opening.control");
  atomic(reinterpret_cast<wire::FrameHeader*>(frame)->control).store(control.pack(), kRelease);
}

inline void Ring::reserve_at(std::byte* frame, Position position, const FrameExtents& extents,
                             ParticipantId me) const noexcept {
  open_frame_at(frame, position, extents.extent, {wire::FrameState::kReserved, 0, me});
  SHMLANE_CRASH_POINT("ring.reserve.payload_size");
  frame_access::store(reinterpret_cast<wire::FrameHeader*>(frame)->payload_size, extents.payload_size);
}

inline void Ring::publish_head(wire::ParticipantEntry& mine, Position head, std::uint64_t frames,
                               std::uint64_t payload_bytes) noexcept {
  SHMLANE_CRASH_POINT("ring.reserve.count");
  add_under_lock(mine.pushed, frames);
  SHMLANE_CRASH_POINT("ring.reserve.count_bytes");
  add_under_lock(mine.pushed_bytes, payload_bytes);
  SHMLANE_CRASH_POINT("ring.reserve.head");
  // Publishes the openings; pairs with the acquire load in load_head() of consumers and reapers.
  atomic(control_.head.value).store(head, kRelease);
}

// What is free at `head` in one piece and in this window, without moving the tail: where it begins, and how many bytes.
inline Run Ring::free_run() const noexcept {
  const Position head = atomic(control_.head.value).load(kRelaxed);
  const Position tail = atomic(control_.tail).load(kRelaxed);
  const std::uint64_t capacity = capacity_;
  const std::uint64_t offset = head - producers_lap_;
  const std::uint64_t end = window_end_;
  const bool sensible = offset < end && head - tail <= capacity && (head | tail) % wire::kAlignment == 0;
  return {head, sensible ? std::min(end - offset, capacity - (head - tail)) : 0};
}

[[gnu::always_inline]] inline bool Ring::reserve_first(ParticipantId me, const FrameExtents& extents, Run& run,
                                                       Place& out) noexcept {
  const std::uint64_t extent = extents.extent;
  if (extent > run.size) return false;
  std::byte* const frame = body_ + (run.begin - producers_lap_);
  const std::uint64_t ahead = kAhead * extent;
  if (extent <= kSmallExtent && ahead + extent <= run.size) prefetch_for_write(frame + ahead);
  out = {run.begin, frame};
  reserve_at(frame, run.begin, extents, me);
  run = {run.begin + extent, run.size - extent};
  return true;
}

inline bool Ring::reserve_one(ParticipantId me, const FrameExtents& extents, Place& out) noexcept {
  if (!producers_.try_lock_free(me)) return false;
  Run run = free_run();
  wire::ParticipantEntry& mine = participants_.entry(id_index(me));
  const bool done = Participants::owns(mine, me) && reserve_first(me, extents, run, out);
  if (done) [[likely]]
    publish_head(mine, run.begin, 1, extents.payload_size);
  producers_.unlock_and_keep(me);
  return done;
}

inline std::size_t Ring::reserve_run(ParticipantId me, std::span<const FrameExtents> extents,
                                     std::span<Place> out) noexcept {
  if (!producers_.try_lock_free(me)) return 0;
  Run run = free_run();
  std::uint64_t payload_bytes = 0;
  std::size_t done = 0;
  wire::ParticipantEntry& mine = participants_.entry(id_index(me));
  if (Participants::owns(mine, me)) {
    for (; done < extents.size() && reserve_first(me, extents[done], run, out[done]); ++done) {
      payload_bytes += extents[done].payload_size;
    }
  }
  if (done != 0) publish_head(mine, run.begin, done, payload_bytes);
  producers_.unlock_and_keep(me);
  return done;
}

// ---- Step 3 --------------------------------------------------------------------------------------------------------

inline bool Ring::commit_one(ParticipantId me, std::byte* frame) noexcept {
  const auto control = atomic(reinterpret_cast<wire::FrameHeader*>(frame)->control);
  if (control.load(kRelaxed) != Control{wire::FrameState::kReserved, 0, me}.pack()) return false;
  SHMLANE_CRASH_POINT("ring.commit");
  // Publishes metadata and payload; pairs with the acquire load in control_at() by the consumer that takes the frame.
  control.store(Control{wire::FrameState::kReady, 0, 0}.pack(), kRelease);
  return true;
}

}  // namespace shmlane
