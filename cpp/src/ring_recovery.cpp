// SPDX-License-Identifier: Apache-2.0
// Settling what the dead left in a ring, and looking at a ring without changing it.
#include <algorithm>

#include "crash_point.hpp"
#include "ring.hpp"
#include "ring_lock.hpp"

namespace shmlane {

using wire::FrameState;

namespace {
constexpr std::uint64_t kWorthwhile = 32 * 1024;  // bytes given back at once, for a producer that spins
}

// ---- Recovery (SPEC 5.7) -------------------------------------------------------------------------------------------

bool Ring::reap(ParticipantId me, ParticipantId dead, const os::Deadline& deadline) {
  const Guard producers(*this, producers_, me, deadline);
  if (!producers.held()) return false;
  const Guard consumers(*this, consumers_, me, deadline);
  if (!consumers.held()) return false;
  // What was seen before the locks may be over: somebody else reaped it and a newcomer took the entry.
  if (!participants_.owns_entry(dead) || participants_.alive(dead, me)) return false;
  settle_all(dead);
  participants_.free_entry(dead);
  return true;
}

bool Ring::give_back_all(ParticipantId me, const os::Deadline& deadline) {
  const Guard producers(*this, producers_, me, deadline);
  if (!producers.held()) return false;
  const Guard consumers(*this, consumers_, me, deadline);
  if (!consumers.held()) return false;
  settle_all(me);
  return true;
}

bool Ring::redeliver(ParticipantId me, const Place& place, const os::Deadline& deadline) {
  const Guard producers(*this, producers_, me, deadline);
  if (!producers.held()) return false;
  const Guard consumers(*this, consumers_, me, deadline);
  if (!consumers.held()) return false;
  const Control control = control_at(place.position);
  if (control.owner == me) settle(place.position, control, me);
  return true;
}

void Ring::settle_all(ParticipantId owner) {
  walk_all([&](Position position, Control control, wire::FrameHeader&) {
    if (control.owner == owner) settle(position, control, owner);
    return true;
  });
}

void Ring::settle(Position position, Control control, ParticipantId owner) noexcept {
  wire::ParticipantEntry& entry = participants_.entry(id_index(owner));
  if (control.state == FrameState::kReserved) {
    SHMLANE_CRASH_POINT("ring.reap.abandon.count");
    atomic(entry.aborted).fetch_add(1, kRelaxed);
    SHMLANE_CRASH_POINT("ring.reap.abandon");
    set_control(position, {FrameState::kAbandoned, 0, 0});
    return;
  }
  if (control.state != FrameState::kLeased) return;
  const bool drop = entry.on_death == static_cast<std::uint8_t>(wire::OnDeath::kDrop);
  if (drop || control.attempt + 1U >= entry.max_attempts) {
    SHMLANE_CRASH_POINT("ring.reap.drop.count");
    atomic(entry.dropped).fetch_add(1, kRelaxed);
    SHMLANE_CRASH_POINT("ring.reap.drop");
    set_control(position, {FrameState::kFree, 0, 0});
    return;
  }
  SHMLANE_CRASH_POINT("ring.reap.redeliver.count");
  atomic(entry.redelivered).fetch_add(1, kRelaxed);
  // First back with the cursors, then READY: the other order loses the frame to a death in between.
  if (atomic(control_.scan).load(kRelaxed) > position) {
    reset_cursor(std::min(atomic(control_.read.value).load(kRelaxed), position));
  }
  SHMLANE_CRASH_POINT("ring.reap.redeliver");
  set_control(position, {FrameState::kReady, static_cast<std::uint8_t>(control.attempt + 1), 0});
}

// Everything from `read` on is to be looked at again. Under consumers_lock.
void Ring::reset_cursor(Position read) noexcept {
  SHMLANE_CRASH_POINT("ring.reset.read");
  atomic(control_.read.value).store(read, kRelease);
  SHMLANE_CRASH_POINT("ring.reset.count");
  atomic(control_.skipped_count).store(0, kRelaxed);
  SHMLANE_CRASH_POINT("ring.reset.scan");
  atomic(control_.scan).store(read, kRelaxed);
}

// ---- Looking -------------------------------------------------------------------------------------------------------

bool Ring::has_ready(ParticipantId me, const os::Deadline& deadline) {
  const Guard guard(*this, consumers_, me, deadline);
  return guard.held() && move_cursor();
}

bool Ring::has_room(ParticipantId me, std::uint64_t extent, const Limits& limits, const os::Deadline& deadline) {
  const Guard guard(*this, producers_, me, deadline);
  if (!guard.held()) return false;
  if (limits.drop_oldest) return true;
  if (limits.max_objects != 0 && count_up_to(limits.max_objects) == limits.max_objects) return false;
  Position head = load_head(atomic(control_.tail).load(kRelaxed));
  return fits(head, extent) || make_room(me, head, false, extent, limits, deadline);
}

bool Ring::maybe_ready() const noexcept {
  const Position scan = atomic(control_.scan).load(kRelaxed);
  if (scan % wire::kAlignment != 0) return true;
  const Position head = atomic(control_.head.value).load(kAcquire);
  const std::uint64_t count = std::min<std::uint64_t>(atomic(control_.skipped_count).load(kRelaxed), wire::kMaxSkipped);
  if (head != scan) {
    if (count != 0 || control_at(scan).state != FrameState::kReserved) return true;
    const Position next = scan + atomic(header_at(scan).extent).load(kRelaxed);
    return head - next - 1 < capacity_;
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    const Position position = atomic(control_.skipped[i]).load(kRelaxed);
    if (position % wire::kAlignment == 0 && control_at(position).state != FrameState::kReserved) return true;
  }
  return false;
}

bool Ring::maybe_room(std::uint64_t extent) const noexcept {
  const Position tail = atomic(control_.tail).load(kRelaxed);
  const Position head = atomic(control_.head.value).load(kRelaxed);
  const Position read = atomic(control_.read.value).load(kRelaxed);
  if (tail % wire::kAlignment != 0 || tail == head) return true;
  return read - tail >= std::min(head - tail, std::max(extent, std::min(capacity_ / 4, kWorthwhile)));
}

std::uint64_t Ring::payload_in_state(Position position, FrameState state) const noexcept {
  if (position % wire::kAlignment != 0 || control_at(position).state != state) return 0;
  return std::min(atomic(header_at(position).payload_size).load(kRelaxed), capacity_);
}

// At `read`, which does not pass a reservation, even if it was skipped; or behind a PAD there, which consumers step over
// only when they take the next frame.
std::uint64_t Ring::being_written() const noexcept {
  const Position head = atomic(control_.head.value).load(kAcquire);
  Position first = atomic(control_.read.value).load(kRelaxed);
  if (first == head || first % wire::kAlignment != 0) return 0;
  if (control_at(first).state == FrameState::kPad) first += capacity_ - offset(first);
  return first == head ? 0 : payload_in_state(first, FrameState::kReserved);
}

// At the tail, or behind it: producers move it only when that is worth it.
std::uint64_t Ring::being_read() const noexcept {
  const Position oldest = oldest_lease(atomic(control_.read.value).load(kAcquire));
  return payload_in_state(oldest, FrameState::kLeased);
}

// Under the lock nobody overwrites what lies behind `read`, whoever attaches meanwhile.
bool Ring::drained(ParticipantId me, const os::Deadline& deadline) {
  const Guard guard(*this, consumers_, me, deadline);
  return guard.held() && count_up_to(1) == 0;
}

bool Ring::empty() const {
  bool held = false;
  walk_all([&](Position, Control control, wire::FrameHeader&) {
    held = control.owner != 0;
    return !held;
  });
  return !held && count_up_to(1) == 0;
}

Contents Ring::contents() const noexcept {
  Contents found;
  for (int tries = 0; tries < 8; ++tries) {
    found = {};
    try {
      walk_all([&](Position, Control control, wire::FrameHeader& header) {
        const bool waits = control.state == FrameState::kReserved || control.state == FrameState::kReady;
        found.waiting += waits;
        if (waits || control.state == FrameState::kLeased) found.bytes += atomic(header.extent).load(kRelaxed);
        return true;
      });
      break;
    } catch (const Corrupt&) {
      // A producer has written over what this pass stood on: look again.
    }
  }
  return found;
}

std::string Ring::obstacle() const {
  for (const OwnerLock* lock : {&producers_, &consumers_}) {
    const ParticipantId holder = lock->holder();
    if (holder != 0) return participants_.describe(holder) + " holds a lock of the ring; is it stopped?";
  }
  const Position tail = atomic(control_.tail).load(kAcquire);
  if (tail % wire::kAlignment != 0 || tail == atomic(control_.head.value).load(kAcquire)) return {};
  const Control control = control_at(tail);
  const bool reserved = control.state == FrameState::kReserved;
  if (!reserved && control.state != FrameState::kLeased) return {};
  return participants_.describe(control.owner) + (reserved ? " holds a reservation" : " holds a lease") +
         " on the oldest frame";
}

}  // namespace shmlane
