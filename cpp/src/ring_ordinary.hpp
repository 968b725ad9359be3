// SPDX-License-Identifier: Apache-2.0
// The ring's hot path (ring.hpp), inline and in few instructions: what is done with one frame, and steps 1 and 4 in the
// ordinary case, in which the lock is free and nothing is in the way. Any other is left to reserve() and acquire() in
// ring.cpp.
#pragma once

#include <algorithm>

#include "crash_point.hpp"
#include "frame_access.hpp"
#include "ring.hpp"

namespace shmlane {

inline constexpr std::uint64_t kAhead = 8;          // frames
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

inline void Ring::publish_head(ParticipantId me, Position head, std::uint64_t frames,
                               std::uint64_t payload_bytes) noexcept {
  wire::ParticipantEntry& mine = participants_.entry(id_index(me));
  SHMLANE_CRASH_POINT("ring.reserve.count");
  add_under_lock(mine.pushed, frames);
  SHMLANE_CRASH_POINT("ring.reserve.count_bytes");
  add_under_lock(mine.pushed_bytes, payload_bytes);
  SHMLANE_CRASH_POINT("ring.reserve.head");
  // Publishes the openings; pairs with the acquire load in load_head() of consumers and reapers.
  atomic(control_.head.value).store(head, kRelease);
}

// There is room at `head` without a PAD and without moving the tail.
inline bool Ring::reserve_one(ParticipantId me, const FrameExtents& extents, Place& out) noexcept {
  if (!producers_.try_lock_free(me)) return false;
  const Position head = atomic(control_.head.value).load(kRelaxed);
  const Position tail = atomic(control_.tail).load(kRelaxed);
  const std::uint64_t room = capacity_ - extents.extent;
  const std::uint64_t offset = head - producers_lap_;
  const bool ordinary =
      participants_.owns_entry(me) && offset <= room && head - tail <= room && (head | tail) % wire::kAlignment == 0;
  if (ordinary) [[likely]] {
    std::byte* const frame = body_ + offset;
    const std::uint64_t ahead = kAhead * extents.extent;
    const bool small = extents.extent <= kSmallExtent;
    if (small && offset + ahead <= room && head + ahead - tail <= room) prefetch_for_write(frame + ahead);
    out = {head, frame};
    reserve_at(frame, head, extents, me);
    publish_head(me, head + extents.extent, 1, extents.payload_size);
  }
  producers_.unlock_and_keep(me);
  return ordinary;
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

// ---- Step 4 --------------------------------------------------------------------------------------------------------

// `only`: the participant holds nothing else, so no lease of its lies before this one (W-57).
inline void Ring::lease_at(std::byte* frame, Position position, Control found, ParticipantId me, bool only) noexcept {
  const auto oldest = atomic(participants_.entry(id_index(me)).oldest_lease);
  if (only || position < oldest.load(kRelaxed)) {
    SHMLANE_CRASH_POINT("ring.acquire.oldest");
    // Pairs with the acquire load in oldest_lease(): our reads of earlier frames are over.
    oldest.store(position, kRelease);
  }
  SHMLANE_CRASH_POINT("ring.acquire.lease");
  const auto control = atomic(reinterpret_cast<wire::FrameHeader*>(frame)->control);
  control.store(Control{wire::FrameState::kLeased, found.attempt, me}.pack(), kRelease);
}

inline void Ring::count_popped(ParticipantId me, std::uint64_t frames, std::uint64_t payload_bytes) noexcept {
  wire::ParticipantEntry& mine = participants_.entry(id_index(me));
  SHMLANE_CRASH_POINT("ring.acquire.count");
  add_under_lock(mine.popped, frames);
  SHMLANE_CRASH_POINT("ring.acquire.count_bytes");
  add_under_lock(mine.popped_bytes, payload_bytes);
}

// Nothing was skipped, and the frame at `scan` is READY.
template <class Alone>
inline bool Ring::acquire_one(ParticipantId me, Alone&& alone, Taking& out) noexcept {
  if (!consumers_.try_lock_free(me)) return false;
  const bool taken = participants_.owns_entry(me) && take_next(me, alone(), out);
  consumers_.unlock_and_keep(me);
  return taken;
}

inline bool Ring::take_next(ParticipantId me, bool only, Taking& out) noexcept {
  const Position scan = atomic(control_.scan).load(kRelaxed);
  const std::uint64_t capacity = capacity_;
  const std::uint64_t offset = scan - consumers_lap_;
  // A head that was seen earlier is as good as a new one while something lies before it, and spares the cache line that
  // producers write.
  if (head_seen_ - scan - 1 >= capacity) head_seen_ = atomic(control_.head.value).load(kAcquire);
  const std::uint64_t available = std::min(capacity - offset, head_seen_ - scan);
  const bool sensible = offset < capacity && head_seen_ - scan - 1 < capacity &&
                        (scan | head_seen_) % wire::kAlignment == 0 &&
                        atomic(control_.skipped_count).load(kRelaxed) == 0;
  if (!sensible) return false;
  std::byte* const frame = body_ + offset;
  // Pairs with the release store of commit().
  const Control found = Control::unpack(atomic(frame_access::header_of(frame).control).load(kAcquire));
  const FrameExtents extents = frame_access::load_extents(frame);
  if (found.state != wire::FrameState::kReady ||
      !frame_access::opening_is_right(frame, extents.extent, available, segment_id_, scan)) {
    return false;
  }
  const std::uint64_t ahead = kAhead * extents.extent;
  if (extents.extent <= kSmallExtent && ahead < available) prefetch_for_write(frame + ahead);
  const bool sound = frame_access::contents_are_right(frame, extents, segment_id_, scan);
  out = {{scan, frame}, frame_access::view_of(frame, extents), found.attempt, sound};
  lease_at(frame, scan, found, me, only);
  SHMLANE_CRASH_POINT("ring.acquire_one.scan");
  atomic(control_.scan).store(scan + extents.extent, kRelaxed);
  SHMLANE_CRASH_POINT("ring.acquire_one.read");
  // Pairs with the acquire load in reclaim(): producers may overwrite what lies before it.
  atomic(control_.read.value).store(scan + extents.extent, kRelease);
  count_popped(me, 1, extents.payload_size);
  return true;
}

// ---- Steps 5 and 6 -------------------------------------------------------------------------------------------------

inline FrameView Ring::view(const Place& place) const {
  const auto offset = static_cast<std::uint64_t>(place.frame - body_);
  return frame_access::parse(place.frame, capacity_ - offset, segment_id_, place.position);
}

inline void Ring::release(ParticipantId me, std::byte* frame) noexcept {
  const auto control = atomic(reinterpret_cast<wire::FrameHeader*>(frame)->control);
  const Control found = Control::unpack(control.load(kRelaxed));
  if (found.state != wire::FrameState::kLeased || found.owner != me) return;
  SHMLANE_CRASH_POINT("ring.release");
  // Pairs with the acquire load in reclaim(): our reads are over before a producer writes there again.
  control.store(Control{wire::FrameState::kFree, 0, 0}.pack(), kRelease);
}

}  // namespace shmlane
