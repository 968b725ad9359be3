// SPDX-License-Identifier: Apache-2.0
// Making room for step 1 of the ring: moving the tail, helping the consumers' cursor along, dropping, starting again, and
// windows, which keep to memory that is warm.
#include <algorithm>

#include "crash_point.hpp"
#include "ring_cursor.hpp"
#include "ring_lock.hpp"
#include "ring_ordinary.hpp"
#include "ring_window.hpp"

namespace shmlane {

using wire::FrameState;

std::uint64_t Ring::needed(Position head, std::uint64_t extent) const noexcept {
  const std::uint64_t rest = capacity_ - offset(head);
  return rest < extent ? rest + extent : extent;
}

bool Ring::fits(Position head, std::uint64_t extent) const noexcept {
  return head + needed(head, extent) - atomic(control_.tail).load(kRelaxed) <= capacity_;
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
#if defined(SHMLANE_TSAN)
  // To the sanitizer a word has one address, but the consumers of a process have a mapping of their own: on this one it
  // sees an order between two threads' writes to one place only if the second looks at the word of the first one's frame.
  for (Position at = old_tail; at != tail; at += extent_at(at, tail)) static_cast<void>(control_at(at));
#endif
  while (tail != read && finished(control_at(tail).state)) tail += extent_at(tail, read);
  if (tail == old_tail) return;
  SHMLANE_CRASH_POINT("ring.reclaim.tail");
  atomic(control_.tail).store(tail, kRelease);
}

// The lowest position before `read` that anybody's lease may have, or `read`.
Position Ring::oldest_lease(Position read) const noexcept {
  Position oldest = read;
  for (unsigned index = 0, end = participants_.used(); index < end; ++index) {
    const Position lease = atomic(participants_.entry(index).oldest_lease).load(kAcquire);
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
  const std::uint64_t wanted = needed(head, extent);
  const Position tail = atomic(control_.tail).load(kRelaxed);
  if (tail % wire::kAlignment != 0 || head - tail > capacity_) corrupt("its tail makes no sense");
  Position end = tail;
  const auto roomy = [&] { return end == head || head + wanted - end <= capacity_; };
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
  if (offset(head) == 0) return;
  pad(head);
  SHMLANE_CRASH_POINT("ring.start_again.head");
  atomic(control_.head.value).store(head, kRelease);
  move_cursor();
  reclaim();
}

// The rest of the lap becomes a PAD, and `head` the beginning of the next one.
void Ring::pad(Position& head) const noexcept {
  const std::uint64_t rest = capacity_ - offset(head);
  open_frame_at(at(head), head, rest, {FrameState::kPad, 0, 0});
  head += rest;
}

// ---- Windows (ring_window.hpp) ---------------------------------------------------------------------------------------

void Ring::begin_window(Position& head, std::uint64_t extent) {
  if (!ends_window(capacity_, offset(head), extent)) return;
  reclaim();
  if (atomic(control_.tail).load(kRelaxed) == head) pad(head);
}

// Nothing is worth waiting for with small frames: they cost instructions rather than lines, and consumers who have nothing
// left stay at the producer's heels, where the two take each other's lines away.
std::uint64_t Ring::before_window(std::uint64_t extent, std::uint64_t most) const noexcept {
  constexpr std::uint64_t kWorthIt = 4096;
  const Position head = atomic(control_.head.value).load(kRelaxed);
  if (extent < kWorthIt || head % wire::kAlignment != 0 || !ends_window(capacity_, offset(head), extent)) return 0;
  const Position read = atomic(control_.read.value).load(kAcquire);
  const Position lease = oldest_lease(read);
  const bool released = lease % wire::kAlignment != 0 || finished(control_at(lease).state);
  const std::uint64_t used = head - (released ? read : lease);
  return used <= most ? used : 0;
}

}  // namespace shmlane
