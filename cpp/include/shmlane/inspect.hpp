// SPDX-License-Identifier: Apache-2.0
// Looking at segments from outside, and tidying up: what `shmlane ls`, `stat`, `rm`, `top` and `doctor` stand on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shmlane/export.hpp"
#include "shmlane/queue.hpp"
#include "shmlane/wire.hpp"

namespace shmlane {

struct HeldFrame {
  wire::FrameState state;  // kReserved or kLeased
  std::uint64_t position;
  std::uint64_t payload_size;  // bytes; of a reservation: what was asked for
};

struct ParticipantInfo {
  std::uint64_t id = 0;  // never the same for two participants of one segment
  unsigned index = 0;
  std::uint32_t pid = 0;
  std::string process_name;
  bool producer = false, consumer = false, alive = false;
  bool producers_lock = false, consumers_lock = false;  // whether it holds them at this moment
  bool write_lock = false, read_lock = false;           // the same in a stream or a tensor
  bool at_tail = false;           // whether what it holds is the oldest frame in use: producers cannot pass it
  std::uint64_t attached_ns = 0;  // since the UNIX epoch
  Counters counters;              // of its place in the table: its predecessors there are included
  std::vector<HeldFrame> holds;
};

// The array of a stream or a tensor.
struct ArrayInfo {
  std::string dtype;  // JSON, as metadata has it
  std::vector<std::int64_t> shape;
  std::uint64_t nbytes = 0, slots = 0;
  std::uint64_t count = 0, write_time_ns = 0;  // of a stream: values written, and when the last one was
  std::uint64_t writer = 0;                    // the id of who wrote last; 0: nobody
};

struct SegmentInfo {
  std::string name;
  wire::Kind kind{};
  std::uint32_t version = 0;
  wire::SegmentState state{};
  std::uint64_t segment_id = 0, created_ns = 0, file_size = 0, objects = 0;
  std::uint32_t mode = 0;
  bool full_fence = false;  // somebody could not use membarrier(2), so that every publication costs a fence
  bool locked = false;      // somebody is just attaching, leaving or removing it (the creation lock)
  std::uint64_t items_waiters = 0, space_waiters = 0;  // consumers and producers that sleep
  QueueStat stat;                                      // of a stream: `pushed` are the values written
  std::optional<ArrayInfo> array;
  std::vector<ParticipantInfo> participants;
};

// Names of all files that are named like a segment, sorted.
SHMLANE_EXPORT std::vector<std::string> list_segments();

// Facts about one segment, without a lock and without becoming a participant; a moving target gives numbers of different moments. Throws NotFound, Foreign,
// WrongVersion, WrongLayout, PermissionDenied.
SHMLANE_EXPORT SegmentInfo inspect_segment(std::string_view name);

// Removes a segment and its semaphores. False, and nothing done, if somebody lives in it and not `force`. With force
// those who live in it go on among themselves, newcomers get a new segment. Throws NotFound, Foreign, PermissionDenied.
SHMLANE_EXPORT bool remove_segment(std::string_view name, bool force = false);

// Removes what is left of a segment, judged under its creation lock: one whose maker died, one whose remover died, and
// one in which everybody died, if it is a queue and no object is in it. With force also others in which nobody lives, with all objects.
// False, and nothing done, for every other segment. Throws NotFound, Foreign, WrongVersion, WrongLayout, Corrupt,
// PermissionDenied.
SHMLANE_EXPORT bool remove_remains(std::string_view name, bool force = false);

// Settles what the dead participants held, in a queue as a participant without a role for that moment; returns how many
// of them are gone. If everybody else leaves in that moment, it is the last one, which removes a finished queue.
// Throws NotFound, Foreign, WrongVersion, WrongLayout, Corrupt, PermissionDenied.
SHMLANE_EXPORT unsigned reap_segment(std::string_view name);

// Whether this kernel lets this process use membarrier(2); without it everything works, a little slower.
SHMLANE_EXPORT bool has_membarrier() noexcept;

}  // namespace shmlane
