// SPDX-License-Identifier: Apache-2.0
// The ring's ordinary path; the numbers refer to the steps in ring.hpp. Recovery is in ring_recovery.cpp.
#include "ring.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "crash_point.hpp"
#include "ring_lock.hpp"
#include "shmlane/error.hpp"

namespace shmlane {
namespace {

using wire::FrameState;

constexpr bool finished(FrameState state) noexcept {
  return state == FrameState::kFree || state == FrameState::kAbandoned || state == FrameState::kPad;
}

// Counters are written under the lock of their side by the entry's owner: a load and a store are enough.
void add(std::uint64_t& counter, std::uint64_t amount) noexcept {
  const auto word = atomic(counter);
  word.store(word.load(kRelaxed) + amount, kRelaxed);
}

}  // namespace

// Positions of RESERVED frames that were passed are remembered, so that one reservation that is held for long does not
// make every acquire walk all that came after it. When there are too many, the walk goes on without moving `scan`.
struct Ring::Cursor {
  Position scan = 0;
  std::size_t count = 0;
  std::array<Position, wire::kMaxSkipped> skipped;  // the first `count` of them

  [[nodiscard]] Position read() const noexcept { return count != 0 ? skipped[0] : scan; }
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
      mask_(std::has_single_bit(capacity) ? capacity - 1 : 0),
      segment_id_(header.segment_id),
      participants_(participants),
      name_(std::move(name)),
      producers_(control.producers_lock),
      consumers_(control.consumers_lock) {}

// ---- Step 1: reserve -----------------------------------------------------------------------------------------------

std::size_t Ring::reserve(ParticipantId me, std::span<const FrameExtents> extents, const Limits& limits,
                          const os::Deadline& deadline, std::span<Place> out) {
  const Guard guard(*this, producers_, me, deadline);
  if (!guard.held()) return 0;
  Position head = load_head(atomic(control_.tail).load(kRelaxed));
  std::size_t count = extents.size();
  if (limits.max_objects != 0) count = std::min(count, slots(me, head, extents[0].extent, limits, deadline));
  std::uint64_t payload_bytes = 0;
  std::size_t done = 0;
  for (; done < count; ++done) {
    const std::uint64_t extent = extents[done].extent;
    if (!fits(head, extent) && !make_room(me, head, done != 0, extent, limits, deadline)) break;
    if (const std::uint64_t rest = capacity_ - offset(head); rest < extent) {
      write_frame_opening(head, rest, {FrameState::kPad, 0, 0});
      head += rest;
    }
    write_frame_opening(head, extent, {FrameState::kReserved, 0, me});
    SHMLANE_CRASH_POINT("ring.reserve.payload_size");
    atomic(header_at(head).payload_size).store(extents[done].payload_size, kRelaxed);
    out[done] = {head, at(head)};
    head += extent;
    payload_bytes += extents[done].payload_size;
  }
  if (done != 0) {
    wire::ParticipantEntry& mine = participants_.entry(id_index(me));
    SHMLANE_CRASH_POINT("ring.reserve.count");
    add(mine.pushed, done);
    SHMLANE_CRASH_POINT("ring.reserve.count_bytes");
    add(mine.pushed_bytes, payload_bytes);
    SHMLANE_CRASH_POINT("ring.reserve.head");
    // Publishes the openings; pairs with the acquire load in load_head() of consumers and reapers.
    atomic(control_.head.value).store(head, kRelease);
  }
  return done;
}

bool Ring::fits(Position head, std::uint64_t extent) const noexcept {
  const std::uint64_t rest = capacity_ - offset(head);
  const std::uint64_t needed = rest < extent ? rest + extent : extent;
  return head + needed - atomic(control_.tail).load(kRelaxed) <= capacity_;
}

bool Ring::make_room(ParticipantId me, Position& head, bool batch, std::uint64_t extent, const Limits& limits,
                     const os::Deadline& deadline) {
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

// The tail moves over finished frames, but never past `read`: consumers may still stand there.
void Ring::reclaim() {
  const Position old_tail = atomic(control_.tail).load(kRelaxed);
  // Pairs with the release store in store_cursor(): consumers look at nothing before it any more.
  const Position read = atomic(control_.read.value).load(kAcquire);
  if (read - old_tail > capacity_ || old_tail % wire::kAlignment != 0) corrupt("read is not between tail and head");
  Position tail = old_tail;
  while (tail != read && finished(control_at(tail).state)) tail += extent_at(tail, read);
  if (tail == old_tail) return;
  SHMLANE_CRASH_POINT("ring.reclaim.tail");
  atomic(control_.tail).store(tail, kRelease);
}

// A producer without room moves `read` over finished frames itself: were it to wait for a consumer to do so, all
// producers and consumers could sleep. It only tries the consumers' lock, because it holds the producers' one; but who
// does not wait for room must not take a busy consumer for a full ring.
void Ring::help(ParticipantId me, Position& head, std::uint64_t extent, const Limits& limits,
                const os::Deadline& deadline) {
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
  write_frame_opening(head, rest, {FrameState::kPad, 0, 0});
  head += rest;
  SHMLANE_CRASH_POINT("ring.start_again.head");
  atomic(control_.head.value).store(head, kRelease);
  move_cursor();
  reclaim();
}

void Ring::write_frame_opening(Position position, std::uint64_t extent, Control control) noexcept {
  open_frame(at(position), segment_id_, position, extent);
  SHMLANE_CRASH_POINT("ring.opening.control");
  set_control(position, control);
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
  const auto control = atomic(reinterpret_cast<wire::FrameHeader*>(place.frame)->control);
  if (control.load(kRelaxed) != Control{FrameState::kReserved, 0, me}.pack()) [[unlikely]] {
    throw Evicted("queue '" + name_ + "': the reservation is gone; the other participants took this handle for dead");
  }
  SHMLANE_CRASH_POINT("ring.commit");
  // Publishes metadata and payload; pairs with the acquire load in control_at() by the consumer that takes the frame.
  control.store(Control{FrameState::kReady, 0, 0}.pack(), kRelease);
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

std::size_t Ring::acquire(ParticipantId me, const os::Deadline& deadline, std::span<Place> out) {
  const Guard guard(*this, consumers_, me, deadline);
  if (!guard.held()) return 0;
  Cursor cursor = load_cursor();
  const Position head = load_head(cursor.scan);
  std::size_t done = 0;
  std::uint64_t payload_bytes = 0;
  for (; done < out.size(); ++done) {
    const std::optional<Position> found = find_ready(cursor, head);
    if (!found) break;
    const std::uint8_t attempt = control_at(*found).attempt;
    SHMLANE_CRASH_POINT("ring.acquire.lease");
    set_control(*found, {FrameState::kLeased, attempt, me});
    payload_bytes += atomic(header_at(*found).payload_size).load(kRelaxed);
    out[done] = {*found, at(*found)};
    if (*found == cursor.scan) cursor.scan += extent_at(*found, head);
    for (std::size_t i = 0; i < cursor.count; ++i) {
      if (cursor.skipped[i] == *found) cursor.forget(i--);
    }
  }
  store_cursor(cursor);
  if (done != 0) {
    wire::ParticipantEntry& mine = participants_.entry(id_index(me));
    SHMLANE_CRASH_POINT("ring.acquire.count");
    add(mine.popped, done);
    SHMLANE_CRASH_POINT("ring.acquire.count_bytes");
    add(mine.popped_bytes, payload_bytes);
  }
  return done;
}

// The earliest READY frame. A frame found READY behind reserved ones may be its producer's second: whatever was
// committed before it is READY by now, so look at the earlier ones again, until a look finds none.
std::optional<Position> Ring::find_ready(Cursor& cursor, Position head) const {
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

// ---- Steps 5 and 6: view, release ----------------------------------------------------------------------------------

FrameView Ring::view(const Place& place) const {
  return parse_frame(place.frame, capacity_ - offset(place.position), segment_id_, place.position);
}

unsigned Ring::attempt_of(const Place& place) noexcept {
  return Control::unpack(atomic(reinterpret_cast<wire::FrameHeader*>(place.frame)->control).load(kRelaxed)).attempt;
}

void Ring::release(ParticipantId me, const Place& place) noexcept {
  const auto control = atomic(reinterpret_cast<wire::FrameHeader*>(place.frame)->control);
  const Control found = Control::unpack(control.load(kRelaxed));
  if (found.state != FrameState::kLeased || found.owner != me) return;
  SHMLANE_CRASH_POINT("ring.release");
  // Pairs with the acquire load in reclaim(): our reads are over before a producer writes there again.
  control.store(Control{FrameState::kFree, 0, 0}.pack(), kRelease);
}

// ---- Checked reading of what others write --------------------------------------------------------------------------

std::uint64_t Ring::extent_at(Position position, Position limit) const {
  const std::uint64_t available = std::min(capacity_ - offset(position), limit - position);
  const std::uint64_t extent = checked_extent(at(position), available, segment_id_, position);
  if (extent == 0) [[unlikely]]
    corrupt("no frame stands at position " + std::to_string(position));
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

void Ring::corrupt(const std::string& what) const {
  throw Corrupt("queue '" + name_ + "' is corrupt: " + what + "; remove it with: shmlane rm --force " + name_);
}

}  // namespace shmlane
