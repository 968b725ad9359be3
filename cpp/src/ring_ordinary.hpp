// SPDX-License-Identifier: Apache-2.0
// Steps 1 and 4 of the ring (ring.hpp) in the ordinary case, inline and in few instructions: one frame, the lock is free,
// and nothing is in the way. Whatever is not as ordinary as that is left to reserve() and acquire() in ring.cpp.
#pragma once

#include <algorithm>

#include "crash_point.hpp"
#include "frame_access.hpp"
#include "ring.hpp"

namespace shmlane {

// Counters are written under the lock of their side by the entry's owner: a load and a store are enough.
inline void add_under_lock(std::uint64_t& counter, std::uint64_t amount) noexcept {
  const auto word = atomic(counter);
  word.store(word.load(kRelaxed) + amount, kRelaxed);
}

inline constexpr std::uint64_t kAhead = 8;

inline void Ring::open_frame_at(std::byte* frame, Position position, std::uint64_t extent,
                                Control control) const noexcept {
  frame_access::open(frame, segment_id_, position, extent);
  SHMLANE_CRASH_POINT("ring.opening.control");
  atomic(reinterpret_cast<wire::FrameHeader*>(frame)->control).store(control.pack(), kRelease);
}

// Asks for the lines of a frame that will be written soon, so that the store of its turn does not wait for them (and the
// next lock, which waits for all stores, with it).
inline void prefetch_for_write(const std::byte* frame) noexcept {
  asm volatile("prefetchw %0" : : "m"(frame[0]));
  asm volatile("prefetchw %0" : : "m"(frame[64]));
}

// Step 1: there is room at `head` without a PAD and without moving the tail.
inline bool Ring::reserve_one(ParticipantId me, const FrameExtents& extents, Place& out) noexcept {
  if (!producers_.try_lock_free(me)) return false;
  wire::RingControl& control = control_;
  const Position head = atomic(control.head.value).load(kRelaxed);
  const Position tail = atomic(control.tail).load(kRelaxed);
  const std::uint64_t room = capacity_ - extents.extent;  // the caller has seen that it fits the ring
  const std::uint64_t offset = head - producers_lap_;
  const bool ordinary =
      participants_.owns_entry(me) && offset <= room && head - tail <= room && (head | tail) % wire::kAlignment == 0;
  if (ordinary) [[likely]] {
    std::byte* const frame = body_ + offset;
    out = {head, frame};
    const std::uint64_t ahead = kAhead * extents.extent;
    if (extents.extent <= 512 && offset + ahead <= room && head + ahead - tail <= room)
      prefetch_for_write(frame + ahead);
    wire::ParticipantEntry& mine = participants_.entry(id_index(me));
    open_frame_at(frame, head, extents.extent, {wire::FrameState::kReserved, 0, me});
    SHMLANE_CRASH_POINT("ring.reserve_one.payload_size");
    frame_access::store(reinterpret_cast<wire::FrameHeader*>(frame)->payload_size, extents.payload_size);
    SHMLANE_CRASH_POINT("ring.reserve_one.count");
    add_under_lock(mine.pushed, 1);
    SHMLANE_CRASH_POINT("ring.reserve_one.count_bytes");
    add_under_lock(mine.pushed_bytes, extents.payload_size);
    SHMLANE_CRASH_POINT("ring.reserve_one.head");
    atomic(control.head.value).store(head + extents.extent, kRelease);
  }
  producers_.unlock_and_keep(me);
  return ordinary;
}

// Step 4: nothing was skipped, and the frame at `scan` is READY.
inline bool Ring::acquire_one(ParticipantId me, bool first, Taking& out) noexcept {
  if (!consumers_.try_lock_free(me)) return false;
  wire::RingControl& control = control_;
  const bool taken = participants_.owns_entry(me) && take_next(control, me, first, out);
  consumers_.unlock_and_keep(me);
  return taken;
}

inline bool Ring::take_next(wire::RingControl& control, ParticipantId me, bool first, Taking& out) noexcept {
  const Position scan = atomic(control.scan).load(kRelaxed);
  const std::uint64_t capacity = capacity_;
  const std::uint64_t offset = scan - consumers_lap_;
  // A head that was seen earlier is as good as a new one while something lies before it, and spares the cache line that
  // producers write.
  Position head = head_seen_;
  if (head - scan - 1 >= capacity) {
    head = atomic(control.head.value).load(kAcquire);
    if (head - scan - 1 >= capacity) return false;
    head_seen_ = head;
  }
  if (offset >= capacity || (scan | head) % wire::kAlignment != 0) return false;
  if (atomic(control.skipped_count).load(kRelaxed) != 0) return false;
  std::byte* const frame = body_ + offset;
  auto& header = *reinterpret_cast<wire::FrameHeader*>(frame);
  // Pairs with the release store of commit().
  const Control found = Control::unpack(atomic(header.control).load(kAcquire));
  if (found.state != wire::FrameState::kReady) return false;
  const FrameExtents extents = frame_access::load_extents(frame);
  const std::uint64_t extent = extents.extent;
  const std::uint64_t available = std::min(capacity - offset, head - scan);
  if (!frame_access::opening_is_right(frame, extent, available, segment_id_, scan)) return false;
  out.place = {scan, frame};
  out.attempt = found.attempt;
  out.sound = frame_access::contents_are_right(frame, extents, segment_id_, scan);
  out.view = frame_access::view_of(frame, extents);
  const std::uint64_t ahead = kAhead * extent;
  if (extent <= 512 && ahead < available) prefetch_for_write(frame + ahead);
  wire::ParticipantEntry& mine = participants_.entry(id_index(me));
  if (first || scan < atomic(mine.oldest_lease).load(kRelaxed)) [[likely]] {
    SHMLANE_CRASH_POINT("ring.acquire_one.oldest");
    atomic(mine.oldest_lease).store(scan, kRelaxed);
  }
  SHMLANE_CRASH_POINT("ring.acquire_one.lease");
  atomic(header.control).store(Control{wire::FrameState::kLeased, found.attempt, me}.pack(), kRelease);
  SHMLANE_CRASH_POINT("ring.acquire_one.scan");
  atomic(control.scan).store(scan + extent, kRelaxed);
  SHMLANE_CRASH_POINT("ring.acquire_one.read");
  // Pairs with the acquire load in reclaim(): producers may overwrite what lies before it.
  atomic(control.read.value).store(scan + extent, kRelease);
  SHMLANE_CRASH_POINT("ring.acquire_one.count");
  add_under_lock(mine.popped, 1);
  SHMLANE_CRASH_POINT("ring.acquire_one.count_bytes");
  add_under_lock(mine.popped_bytes, extents.payload_size);
  return true;
}

// Step 3
inline bool Ring::commit_one(ParticipantId me, std::byte* frame) noexcept {
  const auto control = atomic(reinterpret_cast<wire::FrameHeader*>(frame)->control);
  if (control.load(kRelaxed) != Control{wire::FrameState::kReserved, 0, me}.pack()) return false;
  SHMLANE_CRASH_POINT("ring.commit");
  // Publishes metadata and payload; pairs with the acquire load in control_at() by the consumer that takes the frame.
  control.store(Control{wire::FrameState::kReady, 0, 0}.pack(), kRelease);
  return true;
}

// Step 5
inline FrameView Ring::view(const Place& place) const {
  const auto offset = static_cast<std::uint64_t>(place.frame - body_);
  return frame_access::parse(place.frame, capacity_ - offset, segment_id_, place.position);
}

// Step 6
inline void Ring::release(ParticipantId me, std::byte* frame) noexcept {
  const auto control = atomic(reinterpret_cast<wire::FrameHeader*>(frame)->control);
  const Control found = Control::unpack(control.load(kRelaxed));
  if (found.state != wire::FrameState::kLeased || found.owner != me) return;
  SHMLANE_CRASH_POINT("ring.release");
  // Pairs with the acquire load in reclaim(): our reads are over before a producer writes there again.
  control.store(Control{wire::FrameState::kFree, 0, 0}.pack(), kRelease);
}

}  // namespace shmlane
