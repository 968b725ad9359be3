// SPDX-License-Identifier: Apache-2.0
// The ring's ordinary path; the numbers refer to the steps in ring.hpp. Recovery is in ring_recovery.cpp.
#include "ring.hpp"

#include <algorithm>
#include <array>

#include "crash_point.hpp"
#include "ring_lock.hpp"
#include "ring_ordinary.hpp"
#include "shmlane/error.hpp"

namespace shmlane {
namespace {

using wire::FrameState;

constexpr bool finished(FrameState state) noexcept {
  return state == FrameState::kFree || state == FrameState::kAbandoned || state == FrameState::kPad;
}

}  // namespace

// Positions of RESERVED frames that were passed are remembered, so that one reservation that is held for long does not
// make every acquire walk all that came after it. When there are too many, the walk goes on without moving `scan`.
struct Ring::Cursor {
  Position scan = 0;
  std::size_t count = 0;
  std::array<Position, wire::kMaxSkipped> skipped;  // the first `count` of them

  [[nodiscard]] Position read() const noexcept { return count != 0 ? skipped[0] : scan; }
  void forget_position(Position position) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
      if (skipped[i] == position) forget(i--);
    }
  }
  void forget(std::size_t index) noexcept {
    std::copy(skipped.begin() + index + 1, skipped.begin() + count, skipped.begin() + index);
    --count;
  }
};

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

inline std::uint64_t Ring::checked_extent_at(const std::byte* frame, Position position, Position end) const {
  const std::uint64_t extent = frame_access::load_once(frame_access::header_of(frame).extent);
  if (!frame_access::opening_is_right(frame, extent, end - position, segment_id_, position)) [[unlikely]]
    no_frame_at(position);
  return extent;
}

std::uint64_t Ring::extent_at(Position position, Position limit) const {
  const std::uint64_t offset = this->offset(position);
  return checked_extent_at(body_ + offset, position, std::min(position + (capacity_ - offset), limit));
}

void Ring::no_frame_at(Position position) const { corrupt("no frame stands at position " + std::to_string(position)); }

Position Ring::load_head(Position not_before) const {
  // Pairs with the release store at the end of reserve().
  const Position head = atomic(control_.head.value).load(kAcquire);
  if (head - not_before > capacity_ || (head | not_before) % wire::kAlignment != 0) [[unlikely]] {
    corrupt("its cursors make no sense");
  }
  return head;
}

// Under consumers_lock. A head that was seen earlier is as good as a new one while something lies before it, and spares
// the cache line that producers write.
inline Position Ring::seen_head(Position scan) {
  if (head_seen_ - scan - 1 >= capacity_) head_seen_ = load_head(scan);
  return head_seen_;
}

// ---- Step 1: reserve -----------------------------------------------------------------------------------------------

std::size_t Ring::reserve(ParticipantId me, std::span<const FrameExtents> extents, const Limits& limits,
                          const os::Deadline& deadline, std::span<Place> out) {
  const Guard guard(*this, producers_, me, deadline);
  if (!guard.held()) return 0;
  Position tail = atomic(control_.tail).load(kRelaxed);
  Position head = load_head(tail);
  std::size_t count = extents.size();
  if (limits.max_objects != 0) [[unlikely]] {
    count = std::min(count, slots(me, head, extents[0].extent, limits, deadline));
    tail = atomic(control_.tail).load(kRelaxed);
  }
  const Body body = this->body();  // the stores below could change *this, for all the compiler knows
  Position lap = producers_lap_;
  std::uint64_t payload_bytes = 0;
  std::size_t done = 0;
  for (; done < count; ++done) {
    const FrameExtents& frame = extents[done];
    if (!body.fits(head, lap, frame.extent, tail)) [[unlikely]] {
      if (!make_room(me, head, done != 0, frame.extent, limits, deadline)) break;
      tail = atomic(control_.tail).load(kRelaxed);
      if (const std::uint64_t rest = capacity_ - offset(head); rest < frame.extent) {
        open_frame_at(at(head), head, rest, {FrameState::kPad, 0, 0});
        head += rest;
      }
      lap = head - offset(head);
    }
    std::byte* const place = body.memory + (head - lap);
    open_frame_at(place, head, frame.extent, {FrameState::kReserved, 0, me});
    SHMLANE_CRASH_POINT("ring.reserve.payload_size");
    frame_access::store(reinterpret_cast<wire::FrameHeader*>(place)->payload_size, frame.payload_size);
    out[done] = {head, place};
    head += frame.extent;
    payload_bytes += frame.payload_size;
  }
  if (done == 0) return 0;
  producers_lap_ = lap;
  wire::ParticipantEntry& mine = participants_.entry(id_index(me));
  SHMLANE_CRASH_POINT("ring.reserve.count");
  add_under_lock(mine.pushed, done);
  SHMLANE_CRASH_POINT("ring.reserve.count_bytes");
  add_under_lock(mine.pushed_bytes, payload_bytes);
  SHMLANE_CRASH_POINT("ring.reserve.head");
  // Publishes the openings; pairs with the acquire load in load_head() of consumers and reapers.
  atomic(control_.head.value).store(head, kRelease);
  return done;
}

bool Ring::fits(Position head, std::uint64_t extent) const noexcept {
  const std::uint64_t rest = capacity_ - offset(head);
  const std::uint64_t needed = rest < extent ? rest + extent : extent;
  return head + needed - atomic(control_.tail).load(kRelaxed) <= capacity_;
}

bool Ring::make_room(ParticipantId me, Position& head, bool batch, std::uint64_t extent, const Limits& limits,
                     const os::Deadline& deadline) {
  if (fits(head, extent)) return true;
  reclaim();
  if (!fits(head, extent) && !batch) help(me, head, extent, limits, deadline);
  return fits(head, extent);
}

// How many more objects may wait. If there is none, but room for one in exchange, the oldest makes way.
std::uint64_t Ring::slots(ParticipantId me, Position& head, std::uint64_t extent, const Limits& limits,
                          const os::Deadline& deadline) {
  const auto left = [&] { return limits.max_objects - count_up_to(limits.max_objects); };
  const std::uint64_t now = left();
  if (now != 0 || !limits.drop_oldest) return now;
  if (!fits(head, extent) && !make_room(me, head, false, extent, limits, deadline)) return 0;
  const Guard guard(*this, consumers_, me, deadline);
  if (!guard.held() || left() != 0) return left();
  Cursor cursor = load_cursor();
  const std::optional<Position> oldest = find_ready(cursor, load_head(cursor.scan));
  if (oldest) drop(me, *oldest);
  store_cursor(cursor);
  return left();
}

// The tail moves over finished frames, but never past `read`: consumers may still stand there. What lies before `read` and
// before every lease is finished for sure, without a look at it.
void Ring::reclaim() {
  const Position old_tail = atomic(control_.tail).load(kRelaxed);
  // Pairs with the release store in store_cursor(): consumers look at nothing before it any more, and what they store
  // before it is seen below.
  const Position read = atomic(control_.read.value).load(kAcquire);
  if (read - old_tail > capacity_ || (old_tail | read) % wire::kAlignment != 0)
    corrupt("read is not between tail and head");
  Position tail = std::max(old_tail, oldest_lease(read));
  while (tail != read && finished(control_at(tail).state)) tail += extent_at(tail, read);
  if (tail == old_tail) return;
  SHMLANE_CRASH_POINT("ring.reclaim.tail");
  atomic(control_.tail).store(tail, kRelease);
}

// The lowest position before `read` that anybody's lease may have, or `read`.
Position Ring::oldest_lease(Position read) const noexcept {
  Position oldest = read;
  for (unsigned index = 0, end = participants_.used(); index < end; ++index) {
    const Position lease = atomic(participants_.entry(index).oldest_lease).load(kRelaxed);
    if (participants_.word(index).live() && lease % wire::kAlignment == 0) oldest = std::min(oldest, lease);
  }
  return oldest;
}

// A producer without room moves `read` over finished frames itself: were it to wait for a consumer to do so, all
// producers and consumers could sleep. It only tries the consumers' lock, because it holds the producers' one; but who
// does not wait for room must not take a busy consumer for a full ring.
void Ring::help(ParticipantId me, Position& head, std::uint64_t extent, const Limits& limits,
                const os::Deadline& deadline) {
  if (!limits.drop_oldest) {
    const Position read = atomic(control_.read.value).load(kAcquire);
    if (read != head && (read % wire::kAlignment != 0 || !finished(control_at(read).state))) return;
  }
  const Guard guard = limits.drop_oldest ? Guard(*this, consumers_, me, deadline) : Guard(*this, consumers_, me);
  if (!guard.held()) return;
  move_cursor();
  reclaim();
  if (!fits(head, extent) && limits.drop_oldest) drop_oldest(me, head, extent);
  if (!fits(head, extent) && atomic(control_.tail).load(kRelaxed) == head) start_again(head);
}

// Nothing is dropped unless that makes the room: a frame that somebody holds at the tail is in the way anyhow.
void Ring::drop_oldest(ParticipantId me, Position head, std::uint64_t extent) {
  const std::uint64_t rest = capacity_ - offset(head);
  const std::uint64_t needed = rest < extent ? rest + extent : extent;
  const Position tail = atomic(control_.tail).load(kRelaxed);
  if (tail % wire::kAlignment != 0 || head - tail > capacity_) corrupt("its tail makes no sense");
  Position end = tail;
  const auto roomy = [&] { return end == head || head + needed - end <= capacity_; };
  while (!roomy()) {
    const FrameState state = control_at(end).state;
    if (!finished(state) && state != FrameState::kReady) return;
    end += extent_at(end, head);
  }
  walk(tail, end, [&](Position position, Control control, wire::FrameHeader&) {
    if (control.state == FrameState::kReady) drop(me, position);
    return true;
  });
  move_cursor();
  reclaim();
}

void Ring::drop(ParticipantId me, Position position) noexcept {
  SHMLANE_CRASH_POINT("ring.drop_oldest.count");
  atomic(participants_.entry(id_index(me)).dropped).fetch_add(1, kRelaxed);
  SHMLANE_CRASH_POINT("ring.drop_oldest.free");
  set_control(position, {FrameState::kFree, 0, 0});
}

// An empty ring starts again at its beginning, by an ordinary PAD frame and the ordinary moves of read and tail.
void Ring::start_again(Position& head) {
  const std::uint64_t rest = capacity_ - offset(head);
  if (rest == capacity_) return;
  open_frame_at(at(head), head, rest, {FrameState::kPad, 0, 0});
  head += rest;
  SHMLANE_CRASH_POINT("ring.start_again.head");
  atomic(control_.head.value).store(head, kRelease);
  move_cursor();
  reclaim();
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

std::size_t Ring::acquire(ParticipantId me, bool first, const os::Deadline& deadline, std::span<Place> out) {
  const Guard guard(*this, consumers_, me, deadline);
  if (!guard.held()) return 0;
  Cursor cursor = load_cursor();
  Position head = seen_head(cursor.scan);
  const Body body = this->body();  // the stores below could change *this, for all the compiler knows
  wire::ParticipantEntry& mine = participants_.entry(id_index(me));
  Position lap = consumers_lap_;
  std::uint64_t payload_bytes = 0;
  std::size_t done = 0;
  while (done < out.size()) {
    std::optional<Position> found = find_ready(cursor, head);
    if (!found) [[unlikely]] {
      const Position newer = load_head(cursor.scan);
      if (newer == head) break;
      head = head_seen_ = newer;
      continue;
    }
    if (*found - lap >= body.capacity) [[unlikely]]
      lap = *found - offset(*found);
    std::byte* const frame = body.memory + (*found - lap);
    auto& header = *reinterpret_cast<wire::FrameHeader*>(frame);
    const std::uint64_t extent = checked_extent_at(frame, *found, std::min(lap + body.capacity, head));
    const std::uint8_t attempt = Control::unpack(atomic(header.control).load(kRelaxed)).attempt;
    if (first || *found < atomic(mine.oldest_lease).load(kRelaxed)) {
      SHMLANE_CRASH_POINT("ring.acquire.oldest");
      atomic(mine.oldest_lease).store(*found, kRelaxed);
      first = false;
    }
    SHMLANE_CRASH_POINT("ring.acquire.lease");
    atomic(header.control).store(Control{FrameState::kLeased, attempt, me}.pack(), kRelease);
    payload_bytes += frame_access::load_once(header.payload_size);
    out[done++] = {*found, frame};
    if (*found == cursor.scan) cursor.scan += extent;
    cursor.forget_position(*found);
  }
  store_cursor(cursor);
  if (done == 0) return 0;
  consumers_lap_ = lap;
  SHMLANE_CRASH_POINT("ring.acquire.count");
  add_under_lock(mine.popped, done);
  SHMLANE_CRASH_POINT("ring.acquire.count_bytes");
  add_under_lock(mine.popped_bytes, payload_bytes);
  return done;
}

// The earliest READY frame. A frame found READY behind reserved ones may be its producer's second: whatever was
// committed before it is READY by now, so look at the earlier ones again, until a look finds none.
inline std::optional<Position> Ring::find_ready(Cursor& cursor, Position head) const {
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

// ---- Steps 5 and 6: see ring_ordinary.hpp ----------------------------------------------------------------------------------

void Ring::corrupt(const std::string& what) const {
  throw Corrupt("queue '" + name_ + "' is corrupt: " + what + "; remove it with: shmlane rm --force " + name_);
}

}  // namespace shmlane
