// SPDX-License-Identifier: Apache-2.0
// The consumers' half of the ring's hot path (ring_ordinary.hpp): steps 4 to 6 where the lock is free and nothing is in
// the way. Any other case is left to acquire() in ring.cpp.
#pragma once

#include <algorithm>

#include "ring_ordinary.hpp"

namespace shmlane {

// ---- Step 4 --------------------------------------------------------------------------------------------------------

// `only`: the participant holds nothing else, so no lease of its lies before this one (W-57).
inline void Ring::lease_at(wire::ParticipantEntry& mine, std::byte* frame, Position position, Control found,
                           ParticipantId me, bool only) noexcept {
  const auto oldest = atomic(mine.oldest_lease);
  if (only || position < oldest.load(kRelaxed)) {
    SHMLANE_CRASH_POINT("ring.acquire.oldest");
    // Pairs with the acquire load in oldest_lease(): our reads of earlier frames are over.
    oldest.store(position, kRelease);
  }
  SHMLANE_CRASH_POINT("ring.acquire.lease");
  const auto control = atomic(reinterpret_cast<wire::FrameHeader*>(frame)->control);
  control.store(Control{wire::FrameState::kLeased, found.attempt, me}.pack(), kRelease);
}

inline void Ring::count_popped(wire::ParticipantEntry& mine, std::uint64_t frames,
                               std::uint64_t payload_bytes) noexcept {
  SHMLANE_CRASH_POINT("ring.acquire.count");
  add_under_lock(mine.popped, frames);
  SHMLANE_CRASH_POINT("ring.acquire.count_bytes");
  add_under_lock(mine.popped_bytes, payload_bytes);
}

// What lies between `scan` and `head` in one piece, if nothing was skipped: where it begins, and how many bytes.
inline Run Ring::ready_run() noexcept {
  const Position scan = atomic(control_.scan).load(kRelaxed);
  const std::uint64_t capacity = capacity_;
  const std::uint64_t offset = scan - consumers_lap_;
  // A head that was seen earlier is as good as a new one while something lies before it, and spares the cache line that
  // producers write.
  if (head_seen_ - scan - 1 >= capacity) head_seen_ = atomic(control_.head.value).load(kAcquire);
  const bool sensible = offset < capacity && head_seen_ - scan - 1 < capacity &&
                        (scan | head_seen_) % wire::kAlignment == 0 &&
                        atomic(control_.skipped_count).load(kRelaxed) == 0;
  return {scan, sensible ? std::min(capacity - offset, head_seen_ - scan) : 0};
}

// The frame at the beginning of the run, if it is READY; an unsound one only `in_batch`, whose others it must not hide.
template <bool in_batch>
[[gnu::always_inline]] inline bool Ring::lease_first(wire::ParticipantEntry& mine, ParticipantId me, bool only,
                                                     const Run& run, Taking& out) noexcept {
  std::byte* const frame = body_ + (run.begin - consumers_lap_);
  // Pairs with the release store of commit().
  const Control found = Control::unpack(atomic(frame_access::header_of(frame).control).load(kAcquire));
  const FrameExtents extents = frame_access::load_extents(frame);
  if (found.state != wire::FrameState::kReady ||
      !frame_access::opening_is_right(frame, extents.extent, run.size, segment_id_, run.begin)) [[unlikely]] {
    return false;
  }
  const bool sound = frame_access::contents_are_right(frame, extents, segment_id_, run.begin);
  if (!in_batch && !sound) [[unlikely]]
    return false;
  const std::uint64_t ahead = kAhead * extents.extent;
  if (extents.extent <= kSmallExtent && ahead < run.size) prefetch_for_write(frame + ahead);
  out = {{run.begin, frame}, extents, found.attempt, sound};
  lease_at(mine, frame, run.begin, found, me, only);
  return true;
}

inline void Ring::end_run(wire::ParticipantEntry& mine, Position scan, std::uint64_t frames,
                          std::uint64_t payload_bytes) noexcept {
  SHMLANE_CRASH_POINT("ring.end_run.scan");
  atomic(control_.scan).store(scan, kRelaxed);
  SHMLANE_CRASH_POINT("ring.end_run.read");
  // Pairs with the acquire load in reclaim(): producers may overwrite what lies before it.
  atomic(control_.read.value).store(scan, kRelease);
  count_popped(mine, frames, payload_bytes);
}

// The frame at `scan` is READY, and sound.
template <class Alone>
[[gnu::always_inline]] inline bool Ring::acquire_one(ParticipantId me, Alone&& alone, Taking& out) noexcept {
  if (!consumers_.try_lock_free(me)) return false;
  const Run run = ready_run();
  wire::ParticipantEntry& mine = participants_.entry(id_index(me));
  const bool taken = run.size != 0 && Participants::owns(mine, me) && lease_first<false>(mine, me, alone(), run, out);
  if (taken) end_run(mine, run.begin + out.extents.extent, 1, out.extents.payload_size);
  consumers_.unlock_and_keep(me);
  return taken;
}

// As many as there are from `scan` on, or as fit into `out`.
template <class Alone>
inline std::size_t Ring::acquire_run(ParticipantId me, Alone&& alone, std::span<Taking> out) noexcept {
  if (!consumers_.try_lock_free(me)) return 0;
  Run run = ready_run();
  std::uint64_t payload_bytes = 0;
  std::size_t taken = 0;
  wire::ParticipantEntry& mine = participants_.entry(id_index(me));
  if (Participants::owns(mine, me)) {
    for (bool only = alone(); taken < out.size() && run.size != 0; only = false) {
      Taking& next = out[taken];
      if (!lease_first<true>(mine, me, only, run, next)) break;
      run = {run.begin + next.extents.extent, run.size - next.extents.extent};
      payload_bytes += next.extents.payload_size;
      ++taken;
    }
  }
  if (taken != 0) end_run(mine, run.begin, taken, payload_bytes);
  consumers_.unlock_and_keep(me);
  return taken;
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
