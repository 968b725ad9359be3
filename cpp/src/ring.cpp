// SPDX-License-Identifier: Apache-2.0
// Steps 1, 3 and 4 in general; the numbers refer to ring.hpp. The ordinary case of them is in ring_ordinary.hpp and
// ring_taking.hpp, making room for step 1 in ring_room.cpp, recovery in ring_recovery.cpp.
#include "ring.hpp"

#include <algorithm>

#include "crash_point.hpp"
#include "ring_cursor.hpp"
#include "ring_lock.hpp"
#include "ring_ordinary.hpp"
#include "ring_taking.hpp"
#include "ring_window.hpp"
#include "shmlane/error.hpp"

namespace shmlane {

using wire::FrameState;

Ring::Ring(wire::SegmentHeader& header, wire::RingControl& control, std::byte* body, std::uint64_t capacity,
           const Participants& participants, std::string name)
    : control_(control),
      body_(body),
      capacity_(capacity),
      segment_id_(header.segment_id),
      participants_(participants),
      name_(std::move(name)),
      producers_(control.producers_lock, &wire::ParticipantEntry::producers_busy, header.flags, participants),
      consumers_(control.consumers_lock, &wire::ParticipantEntry::consumers_busy, header.flags, participants) {}

// ---- Checked reading of what others write --------------------------------------------------------------------------

std::uint64_t Ring::extent_at(Position position, Position limit) const {
  const std::uint64_t offset = this->offset(position);
  const std::byte* const frame = body_ + offset;
  const std::uint64_t available = std::min(capacity_ - offset, limit - position);
  const std::uint64_t extent = frame_access::load_once(frame_access::header_of(frame).extent);
  if (!frame_access::opening_is_right(frame, extent, available, segment_id_, position)) [[unlikely]] {
    corrupt("no frame stands at position " + std::to_string(position));
  }
  return extent;
}

Position Ring::load_head(Position not_before) const {
  // Pairs with the release store at the end of reserve().
  const Position head = atomic(control_.head.value).load(kAcquire);
  if (head - not_before > capacity_ || (head | not_before) % wire::kAlignment != 0) [[unlikely]] {
    corrupt("its cursors make no sense");
  }
  return head;
}

// ---- Step 1: reserve -----------------------------------------------------------------------------------------------

std::size_t Ring::reserve(ParticipantId me, std::span<const FrameExtents> extents, const Limits& limits,
                          const os::Deadline& deadline, std::span<Place> out) {
  const Guard guard(*this, producers_, me, deadline);
  if (!guard.held()) return 0;
  Position head = load_head(atomic(control_.tail).load(kRelaxed));
  std::size_t count = extents.size();
  if (limits.max_objects != 0) count = std::min(count, slots(me, head, extents[0].extent, limits, deadline));
  if (limits.windows) begin_window(head, extents[0].extent);
  std::uint64_t payload_bytes = 0;
  std::size_t done = 0;
  for (; done < count; ++done) {
    const FrameExtents& frame = extents[done];
    if (!fits(head, frame.extent) && !make_room(me, head, done != 0, frame.extent, limits, deadline)) break;
    if (capacity_ - offset(head) < frame.extent) pad(head);
    out[done] = {head, at(head)};
    reserve_at(out[done].frame, head, frame, me);
    head += frame.extent;
    payload_bytes += frame.payload_size;
  }
  if (done == 0) return 0;
  producers_lap_ = out[done - 1].position - offset(out[done - 1].position);
  const std::uint64_t size = window_size(capacity_, extents[done - 1].extent);
  window_end_ = std::min(capacity_, (head - producers_lap_) / size * size + size);
  publish_head(participants_.entry(id_index(me)), head, done, payload_bytes);
  return done;
}

std::uint64_t Ring::count_up_to(std::uint64_t limit) const {
  std::uint64_t count = 0;
  const Position read = atomic(control_.read.value).load(kAcquire);
  walk(read, load_head(read), [&](Position, Control control, wire::FrameHeader&) {
    count += control.state == FrameState::kReserved || control.state == FrameState::kReady;
    return count < limit;
  });
  return count;
}

// ---- Step 3: commit, abort -----------------------------------------------------------------------------------------

void Ring::commit(ParticipantId me, const Place& place) {
  if (commit_one(me, place.frame)) return;
  throw Evicted("queue '" + name_ + "': the reservation is gone; the other participants took this handle for dead");
}

void Ring::abort(ParticipantId me, const Place& place) noexcept {
  auto& header = *reinterpret_cast<wire::FrameHeader*>(place.frame);
  if (atomic(header.control).load(kRelaxed) != Control{FrameState::kReserved, 0, me}.pack()) return;
  SHMLANE_CRASH_POINT("ring.abort.count");
  atomic(participants_.entry(id_index(me)).aborted).fetch_add(1, kRelaxed);
  SHMLANE_CRASH_POINT("ring.abort");
  atomic(header.control).store(Control{FrameState::kAbandoned, 0, 0}.pack(), kRelease);
}

// ---- Step 4: acquire -----------------------------------------------------------------------------------------------

std::size_t Ring::acquire(ParticipantId me, FunctionRef<bool()> alone, const os::Deadline& deadline,
                          std::span<Place> out) {
  const Guard guard(*this, consumers_, me, deadline);
  if (!guard.held()) return 0;
  bool only = alone();
  Cursor cursor = load_cursor();
  const Position head = head_seen_ = load_head(cursor.scan);
  std::uint64_t payload_bytes = 0;
  std::size_t done = 0;
  for (; done < out.size(); ++done) {
    const std::optional<Position> found = find_ready(cursor, head);
    if (!found) break;
    const std::uint64_t extent = extent_at(*found, head);
    out[done] = {*found, at(*found)};
    lease_at(participants_.entry(id_index(me)), out[done].frame, *found, control_at(*found), me, only);
    only = false;
    payload_bytes += frame_access::load_extents(out[done].frame).payload_size;
    if (*found == cursor.scan) cursor.scan += extent;
    cursor.forget_position(*found);
  }
  store_cursor(cursor);
  if (done == 0) return 0;
  consumers_lap_ = out[done - 1].position - offset(out[done - 1].position);
  count_popped(participants_.entry(id_index(me)), done, payload_bytes);
  return done;
}

// The earliest READY frame. A frame found READY behind reserved ones may be its producer's second: whatever was
// committed before it is READY by now, so look at the earlier ones again, until a look finds none.
std::optional<Position> Ring::find_ready(Cursor& cursor, Position head) const {
  const bool at_once = cursor.count == 0 && cursor.scan != head && control_at(cursor.scan).state == FrameState::kReady;
  if (at_once) [[likely]]
    return cursor.scan;
  return search_ready(cursor, head);
}

std::optional<Position> Ring::search_ready(Cursor& cursor, Position head) const {
  bool passed_reserved = false;
  std::optional<Position> found = first_ready(cursor, head, passed_reserved);
  while (found && passed_reserved) {
    passed_reserved = false;
    const std::optional<Position> earlier = first_ready(cursor, *found, passed_reserved);
    if (!earlier) break;
    found = earlier;
  }
  return found;
}

// One look at the remembered reservations, then on from `scan`, up to `limit`.
std::optional<Position> Ring::first_ready(Cursor& cursor, Position limit, bool& passed_reserved) const {
  for (std::size_t i = 0; i < cursor.count && cursor.skipped[i] < limit;) {
    const FrameState state = control_at(cursor.skipped[i]).state;
    if (state == FrameState::kReady) return cursor.skipped[i];
    if (state == FrameState::kReserved) {
      passed_reserved = true;
      ++i;
    } else {
      cursor.forget(i);
    }
  }
  for (Position at = cursor.scan; at < limit;) {
    const FrameState state = control_at(at).state;
    if (state == FrameState::kReady) return at;
    const Position next = at + extent_at(at, limit);
    const bool follows = at == cursor.scan;
    if (state == FrameState::kReserved) {
      passed_reserved = true;
      if (follows && cursor.count < wire::kMaxSkipped) {
        cursor.skipped[cursor.count++] = at;
        cursor.scan = next;
      }
    } else if (!finished(state) && state != FrameState::kLeased) {
      corrupt("a frame has the unknown state " + std::to_string(static_cast<int>(state)));
    } else if (follows) {
      cursor.scan = next;
    }
    at = next;
  }
  return std::nullopt;
}

bool Ring::move_cursor() {
  Cursor cursor = load_cursor();
  const bool found = find_ready(cursor, load_head(cursor.scan)).has_value();
  store_cursor(cursor);
  return found;
}

Ring::Cursor Ring::load_cursor() const {
  Cursor cursor;
  cursor.scan = atomic(control_.scan).load(kRelaxed);
  const std::uint64_t count = atomic(control_.skipped_count).load(kRelaxed);
  if (count > wire::kMaxSkipped || cursor.scan % wire::kAlignment != 0) corrupt("the consumers' cursor makes no sense");
  cursor.count = count;
  for (std::size_t i = 0; i < cursor.count; ++i) {
    cursor.skipped[i] = atomic(control_.skipped[i]).load(kRelaxed);
    if (cursor.skipped[i] % wire::kAlignment != 0) corrupt("a skipped position is not aligned");
  }
  return cursor;
}

void Ring::store_cursor(const Cursor& cursor) noexcept {
  for (std::size_t i = 0; i < cursor.count; ++i) {
    SHMLANE_CRASH_POINT("ring.cursor.skipped");
    atomic(control_.skipped[i]).store(cursor.skipped[i], kRelaxed);
  }
  SHMLANE_CRASH_POINT("ring.cursor.count");
  atomic(control_.skipped_count).store(cursor.count, kRelaxed);
  SHMLANE_CRASH_POINT("ring.cursor.scan");
  atomic(control_.scan).store(cursor.scan, kRelaxed);
  SHMLANE_CRASH_POINT("ring.cursor.read");
  // Pairs with the acquire load in reclaim(): producers may overwrite what lies before it.
  atomic(control_.read.value).store(cursor.read(), kRelease);
}

// ---- Steps 5 and 6: see ring_taking.hpp ------------------------------------------------------------------------------

void Ring::corrupt(const std::string& what) const {
  throw Corrupt("queue '" + name_ + "' is corrupt: " + what + "; remove it with: shmlane rm --force " + name_);
}

}  // namespace shmlane
