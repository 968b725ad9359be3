// SPDX-License-Identifier: Apache-2.0
// The ring: a bounded many-to-many queue of frames in shared memory that survives the death of anybody (SPEC section 5).
//
// One ring of bytes. Positions are u64 that only grow (offset = position modulo capacity); tail <= read <= head.
//
//   tail                 read                scan               head
//    | finished, leased   | reserved, leased  | not looked at    |  garbage by definition
//
// Producing:
//   1. reserve: under producers_lock, reclaim what is finished at the tail, write the frame's opening (RESERVED, me)
//      beyond head, then publish it by one store of head.
//      Where a window ends and nothing is in use, it begins again at offset 0, behind a PAD (ring_window.hpp).
//   2. The payload is written after the unlock, in nobody's way.
//   3. commit: one store RESERVED -> READY. abort: RESERVED -> ABANDONED.
// Consuming:
//   4. acquire: under consumers_lock, take the earliest READY frame (-> LEASED, me), stepping over frames that others
//      hold, and move scan and read.
//   5. The payload is read in place, after the unlock.
//   6. release: one store LEASED -> FREE, in any order.
//
// Under a lock there is only arithmetic and a few stores: no copy, no wait, no system call but the question whether a
// lock's holder lives. Every step is published by one 8-byte store, so that a death before it is nothing, and a death
// after it is a frame with a dead owner, which reap() settles. Who needs both locks takes producers_lock first.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "atomic.hpp"
#include "function_ref.hpp"
#include "lock.hpp"
#include "participants.hpp"
#include "ring_parts.hpp"

namespace shmlane {

// One handle's view of a ring. Thread-safe.
class Ring {
 public:
  Ring(wire::SegmentHeader& header, wire::RingControl& control, std::byte* body, std::uint64_t capacity,
       const Participants& participants, std::string name);

  // Every call that locks throws Corrupt or Evicted. If a living holder keeps the lock past the deadline (it is stopped,
  // or was put off its core in the wrong moment), nothing is done and the answer is 0 or false.

  // Steps 1 and 4 for one frame in the ordinary case (ring_ordinary.hpp); false, and nothing done, in any other. The frame
  // must fit the capacity.
  bool reserve_one(ParticipantId me, const FrameExtents& extents, Place& out) noexcept;
  template <class Alone>
  bool acquire_one(ParticipantId me, Alone&& alone, Taking& out) noexcept;
  // The same for as many frames as there is room for, or are ready, in one piece, or fit into `out`.
  std::size_t reserve_run(ParticipantId me, std::span<const FrameExtents> extents, std::span<Place> out) noexcept;
  template <class Alone>
  std::size_t acquire_run(ParticipantId me, Alone&& alone, std::span<Taking> out) noexcept;
  // In a forked child, before its first use there.
  void forget_holds() noexcept { producers_.forget(), consumers_.forget(); }
  // Reserves room for the first n of `extents` under one lock, n as large as fits, 0 for a full ring; returns n.
  std::size_t reserve(ParticipantId me, std::span<const FrameExtents> extents, const Limits& limits,
                      const os::Deadline& deadline, std::span<Place> out);
  // Publishes a frame that has been written. Throws Evicted if it is no longer this participant's.
  void commit(ParticipantId me, const Place& place);
  // Gives a reservation back. Nothing happens if it is no longer this participant's.
  void abort(ParticipantId me, const Place& place) noexcept;

  // Takes the first n READY frames under one lock, n at most out.size(), 0 for an empty ring; returns n. alone(), called
  // under the lock: whether the participant surely holds no other lease.
  std::size_t acquire(ParticipantId me, FunctionRef<bool()> alone, const os::Deadline& deadline, std::span<Place> out);
  // The contents of a frame that is leased by the caller. Throws Corrupt.
  [[nodiscard]] FrameView view(const Place& place) const;
  [[nodiscard]] static unsigned attempt_of(const Place& place) noexcept {
    return Control::unpack(atomic(reinterpret_cast<wire::FrameHeader*>(place.frame)->control).load(kRelaxed)).attempt;
  }
  // Gives a lease back. Nothing happens if it is no longer this participant's.
  void release(ParticipantId me, std::byte* frame) noexcept;

  // Whether acquire would take something now, or reserve find room for `extent` bytes.
  [[nodiscard]] bool has_ready(ParticipantId me, const os::Deadline& deadline);
  [[nodiscard]] bool has_room(ParticipantId me, std::uint64_t extent, const Limits& limits,
                              const os::Deadline& deadline);
  // Looks without a lock, for who spins: false if surely nothing has come, or too little was given back to be worth the
  // disturbance of those who give back.
  [[nodiscard]] bool maybe_ready() const noexcept;
  [[nodiscard]] bool maybe_room(std::uint64_t extent) const noexcept;
  // Bytes that somebody is writing, or reading, at the very place that a consumer, or a producer, waits for.
  [[nodiscard]] std::uint64_t being_written() const noexcept;
  [[nodiscard]] std::uint64_t being_read() const noexcept;
  // Bytes in use where such a frame would cross the end of a window; 0 also if there are more than `most`.
  [[nodiscard]] std::uint64_t before_window(std::uint64_t extent, std::uint64_t most) const noexcept;

  // Settles what a dead participant held and frees its entry: RESERVED -> ABANDONED, LEASED -> READY again, or FREE.
  // Idempotent, and may itself die at any step. False if somebody else was faster or the participant is alive.
  bool reap(ParticipantId me, ParticipantId dead, const os::Deadline& deadline);
  // Settles what a living participant holds, at its own end.
  [[nodiscard]] bool give_back_all(ParticipantId me, const os::Deadline& deadline);
  // Settles one lease of a living participant that could not use it: READY again, as if its holder had died.
  [[nodiscard]] bool redeliver(ParticipantId me, const Place& place, const os::Deadline& deadline);
  // Whether no frame is RESERVED or READY; false if the lock was not to be had.
  [[nodiscard]] bool drained(ParticipantId me, const os::Deadline& deadline);
  // Whether no object waits and none is held. Without a lock: for when nobody else lives.
  [[nodiscard]] bool empty() const;
  // Without a lock: exact when nobody works on it, else what one pass met.
  [[nodiscard]] Contents contents() const noexcept;
  // Who stands in the way of producers (a lock that is held, a hold on the oldest frame), for a message; "" if nobody.
  [[nodiscard]] std::string obstacle() const;
  [[nodiscard]] std::uint64_t capacity() const noexcept { return capacity_; }

  // Calls visit(position, control, header) -> bool for each frame from `from` to `to`, until it returns false. Throws
  // Corrupt at a frame that is none; callers without a lock that keeps the frames in place must expect that.
  template <class Visit>
  void walk(Position from, Position to, Visit&& visit) const {
    for (Position at = from; at != to; at += extent_at(at, to)) {
      if (!visit(at, control_at(at), header_at(at))) return;
    }
  }
  template <class Visit>
  void walk_all(Visit&& visit) const {
    const Position tail = atomic(control_.tail).load(kAcquire);
    walk(tail, load_head(tail), std::forward<Visit>(visit));
  }

 private:
  struct Cursor;  // the consumers' cursors in private memory (ring_cursor.hpp)
  class Guard;    // holds a lock to the end of a scope (ring_lock.hpp)

  // How many bytes a frame needs at `head`, its PAD included.
  [[nodiscard]] std::uint64_t needed(Position head, std::uint64_t extent) const noexcept;
  [[nodiscard]] bool fits(Position head, std::uint64_t extent) const noexcept;
  [[nodiscard]] bool make_room(ParticipantId me, Position& head, bool batch, std::uint64_t extent, const Limits& limits,
                               const os::Deadline& deadline);
  [[nodiscard]] std::uint64_t slots(ParticipantId me, Position& head, std::uint64_t extent, const Limits& limits,
                                    const os::Deadline& deadline);
  void reclaim();
  [[nodiscard]] Position oldest_lease(Position read) const noexcept;
  [[nodiscard]] std::uint64_t payload_in_state(Position position, wire::FrameState state) const noexcept;
  void help(ParticipantId me, Position& head, std::uint64_t extent, const Limits& limits, const os::Deadline& deadline);
  void drop_oldest(ParticipantId me, Position head, std::uint64_t extent);
  void drop(ParticipantId me, Position position) noexcept;
  void start_again(Position& head);
  void begin_window(Position& head, std::uint64_t extent);
  void pad(Position& head) const noexcept;
  void open_frame_at(std::byte* frame, Position position, std::uint64_t extent, Control control) const noexcept;
  void reserve_at(std::byte* frame, Position position, const FrameExtents& extents, ParticipantId me) const noexcept;
  void publish_head(wire::ParticipantEntry& mine, Position head, std::uint64_t frames,
                    std::uint64_t payload_bytes) noexcept;
  [[nodiscard]] Run free_run() const noexcept;
  bool reserve_first(ParticipantId me, const FrameExtents& extents, Run& run, Place& out) noexcept;
  bool commit_one(ParticipantId me, std::byte* frame) noexcept;
  [[nodiscard]] Run ready_run() noexcept;
  template <bool in_batch>
  bool lease_first(wire::ParticipantEntry& mine, ParticipantId me, bool only, const Run& run, Taking& out) noexcept;
  void end_run(wire::ParticipantEntry& mine, Position scan, std::uint64_t frames, std::uint64_t payload_bytes) noexcept;
  void lease_at(wire::ParticipantEntry& mine, std::byte* frame, Position position, Control found, ParticipantId me,
                bool only) noexcept;
  void count_popped(wire::ParticipantEntry& mine, std::uint64_t frames, std::uint64_t payload_bytes) noexcept;
  [[nodiscard]] std::uint64_t count_up_to(std::uint64_t limit) const;
  [[nodiscard]] Cursor load_cursor() const;
  void store_cursor(const Cursor& cursor) noexcept;
  bool move_cursor();  // whether it found a READY frame
  [[nodiscard]] std::optional<Position> find_ready(Cursor& cursor, Position head) const;
  [[nodiscard]] std::optional<Position> search_ready(Cursor& cursor, Position head) const;
  [[nodiscard]] std::optional<Position> first_ready(Cursor& cursor, Position limit, bool& passed_reserved) const;
  void reset_cursor(Position read) noexcept;
  void settle_all(ParticipantId owner);
  void settle(Position position, Control control, ParticipantId owner) noexcept;
  [[nodiscard]] std::uint64_t offset(Position position) const noexcept { return position % capacity_; }
  [[nodiscard]] std::byte* at(Position position) const noexcept { return body_ + offset(position); }
  [[nodiscard]] wire::FrameHeader& header_at(Position position) const noexcept {
    return *reinterpret_cast<wire::FrameHeader*>(at(position));
  }
  [[nodiscard]] Control control_at(Position position) const noexcept {
    // Pairs with the release stores of commit(), abort(), release() and settle().
    return Control::unpack(atomic(header_at(position).control).load(kAcquire));
  }
  void set_control(Position position, Control control) noexcept {
    atomic(header_at(position).control).store(control.pack(), kRelease);
  }
  // The frame's length. Throws Corrupt unless its opening is right and it ends at or before `limit`.
  [[nodiscard]] std::uint64_t extent_at(Position position, Position limit) const;
  // Throws Corrupt unless it is aligned and at most one capacity after `not_before`.
  [[nodiscard]] Position load_head(Position not_before) const;
  [[noreturn]] void corrupt(const std::string& what) const;

  wire::RingControl& control_;
  std::byte* body_;
  std::uint64_t capacity_;
  std::uint64_t segment_id_;
  Participants participants_;
  std::string name_;
  OwnerLock producers_;
  OwnerLock consumers_;
  // What this handle remembers, so that the ordinary path divides nothing and reads no line that the other side writes.
  Position producers_lap_ = 0;    // where the lap began in which it last reserved; under producers_lock
  std::uint64_t window_end_ = 0;  // how far from there to go without another look at windows; under producers_lock
  Position consumers_lap_ = 0;    // in which it last acquired; under consumers_lock
  Position head_seen_ = 0;        // under consumers_lock
};

}  // namespace shmlane
