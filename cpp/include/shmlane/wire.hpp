// SPDX-License-Identifier: Apache-2.0
// Layout constants and plain structs of the wire format, version 1 (wire-format/SPEC.md, sections 2 to 6; those of section
// 11 are in wire_array.hpp).
// Nothing else in C++ spells an offset. All numbers are little-endian; words marked `atomic` are accessed through
// std::atomic_ref only.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace shmlane::wire {

static_assert(std::endian::native == std::endian::little, "the wire format is little-endian and mapped as it is");

inline constexpr std::uint64_t kMagic = 0x00656e616c6d6873;  // "shmlane\0"
inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::uint64_t kLayout = 0x2026112100000002;  // changes whenever a struct below changes
inline constexpr std::size_t kAlignment = 64;                 // of frames, payloads and list items; one cache line
inline constexpr std::size_t kPageSize = 4096;
inline constexpr std::uint32_t kMaxParticipants = 512;
inline constexpr std::uint32_t kMaxSkipped = 32;
inline constexpr std::size_t kMaxNameBytes = 200;

enum class Kind : std::uint32_t { kQueue = 1, kStream = 2, kTensor = 3 };

enum class SegmentState : std::uint32_t {
  kEmpty = 0,    // being made, or its maker died
  kHeader = 1,   // header and table are valid, nobody has named a capacity yet
  kReady = 2,    // the body is laid out
  kRemoved = 3,  // its name is gone or about to go
};

inline constexpr std::uint64_t kBiased = std::uint64_t{1} << 63;  // in a lock: nobody holds it, it is left to that id

inline constexpr std::uint32_t kFlagFullFence = 1;  // somebody cannot use membarrier: every publisher fences (W-32)

struct SegmentHeader {  // at offset 0
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t kind;
  std::uint64_t layout;
  std::uint64_t segment_id;  // random; part of every sentinel and of the semaphores' names
  std::uint32_t state;       // atomic
  std::uint32_t flags;       // atomic
  std::uint64_t body_offset;
  std::uint64_t body_size;     // bytes, a ring's capacity for instance; 0 before kReady
  std::uint64_t created_ns;    // since the UNIX epoch
  std::uint32_t creator_pid;   // for people only
  std::uint32_t mode;          // permissions of the file and its semaphores
  std::uint32_t used_entries;  // atomic; entries at or above it were never used
  std::uint32_t seen_roles;    // atomic; every role that ever attached
  std::uint64_t epoch;         // atomic; grows with every change in the table of participants
  std::uint64_t reserved[5];
};

enum class EntryState : std::uint8_t { kFree = 0, kLive = 1 };

// Roles are bits. A closed handle whose leases are still alive is live without a role.
inline constexpr std::uint8_t kRoleProducer = 1;
inline constexpr std::uint8_t kRoleConsumer = 2;

// What happens to a frame whose consumer dies while holding it (W-41).
enum class OnDeath : std::uint8_t { kRedeliver = 0, kDrop = 1 };

struct ParticipantEntry {  // at kTableOffset + index * sizeof
  std::uint64_t word;      // atomic; {state: 8, role: 8, 0: 16, generation: 32}
  std::uint32_t pid;       // for people only
  std::uint8_t on_death;
  std::uint8_t max_attempts;
  std::uint16_t reserved0;
  std::uint64_t attached_ns;     // since the UNIX epoch
  char process_name[16];         // for people only; ends with NUL
  std::uint64_t oldest_lease;    // atomic; no frame before this position is leased by this participant (W-51)
  std::uint32_t producers_busy;  // atomic; 1 while inside producers_lock by its being left to this participant (W-39)
  std::uint32_t consumers_busy;  // atomic; the same for consumers_lock
  // Counters (atomic), carried on by the entry's next owner: totals are sums over the table. The first two and popped*
  // are written under the lock of their side by the owner alone.
  std::uint64_t aborted;  // of `pushed`, reservations that were given back
  std::uint64_t pushed;   // frames reserved
  std::uint64_t pushed_bytes;
  std::uint64_t popped;
  std::uint64_t popped_bytes;
  std::uint64_t dropped;
  std::uint64_t redelivered;
  std::uint64_t waits;
  std::uint64_t recovered;
};

struct Line {  // one word alone on its cache line
  std::uint64_t value;
  std::uint64_t reserved[7];
};

struct RingControl {  // at kControlOffset; each group on cache lines of its own
  // Written by the holder of producers_lock.
  std::uint64_t producers_lock;  // atomic; id of the holder, 0 = free; with kBiased: left to that id
  std::uint64_t tail;            // atomic; oldest byte still in use
  std::uint64_t reserved0[6];
  Line head;  // atomic; end of the newest frame; written by the holder of producers_lock
  // Written by the holder of consumers_lock.
  std::uint64_t consumers_lock;  // atomic; as producers_lock
  std::uint64_t scan;            // atomic; nothing deliverable in [read, scan) but at the skipped positions
  std::uint64_t skipped_count;   // atomic
  std::uint64_t reserved1[5];
  Line read;           // atomic; everything before it has been taken at least once; written by the holder of
                       // consumers_lock
  Line items_waiters;  // atomic; announced sleepers that wait for a frame
  Line space_waiters;  // atomic; announced sleepers that wait for room or for a consumer
  std::uint64_t skipped[kMaxSkipped];  // atomic; positions of RESERVED frames before `scan`, ascending
};

enum class FrameState : std::uint8_t {
  kReserved = 1,
  kReady = 2,
  kLeased = 3,
  kFree = 4,
  kAbandoned = 5,
  kPad = 6,
};

struct FrameHeader {             // at a multiple of 64 in the body
  std::uint64_t control;         // atomic; {state: 8, attempt: 8, owner id: 48}
  std::uint64_t open_sentinel;   // over segment id, position and extent (W-21)
  std::uint64_t extent;          // bytes from this frame's start to the next one's; a multiple of 64
  std::uint64_t payload_size;    // bytes
  std::uint32_t metadata_size;   // bytes
  std::uint32_t payload_offset;  // from the frame's start; a multiple of 64
  // metadata follows here; the close sentinel is the 8 bytes before the payload
};

inline constexpr std::size_t kMetadataOffset = sizeof(FrameHeader);
inline constexpr std::size_t kSentinelSize = 8;
inline constexpr std::uint64_t kMaxMetadataBytes = 0xffffff90;  // so that a payload's offset fits 32 bits

// stdio framing (SPEC section 6)
inline constexpr std::uint64_t kStdioMagic = 0x6f696474736d6873;  // "shmstdio"
enum class StdioKind : std::uint32_t { kData = 1, kEnd = 2 };

struct StdioHeader {
  std::uint64_t magic;
  std::uint32_t kind;
  std::uint32_t metadata_size;
  std::uint64_t payload_size;
  std::uint64_t sentinel;  // over the fields above (W-61)
};

inline constexpr std::size_t kTableOffset = kPageSize;
inline constexpr std::size_t kControlOffset = kTableOffset + kMaxParticipants * sizeof(ParticipantEntry);
inline constexpr std::size_t kBodyOffset = kControlOffset + kPageSize;

// Bytes beyond the end of any file, locked to show who lives: the creation lock, then one per entry (W-11).
inline constexpr std::uint64_t kCreationLockByte = std::uint64_t{1} << 62;
inline constexpr std::uint64_t kEntryLockByte = kCreationLockByte + 1;

inline constexpr std::uint64_t kSentinelPrime = 0x9e3779b97f4a7c15;

// W-21: bijective in position, so a frame found at another place than its own never matches.
constexpr std::uint64_t open_sentinel(std::uint64_t segment_id, std::uint64_t position, std::uint64_t extent) noexcept {
  return (segment_id ^ position) * kSentinelPrime + extent;
}

// W-22: bijective in each length, so that a flipped bit in one of them never matches.
constexpr std::uint64_t close_sentinel(std::uint64_t open, std::uint64_t payload_size, std::uint32_t metadata_size,
                                       std::uint32_t payload_offset) noexcept {
  return (open ^ payload_size) * kSentinelPrime + ((std::uint64_t{metadata_size} << 32) | payload_offset);
}

// W-61
constexpr std::uint64_t stdio_sentinel(std::uint32_t kind, std::uint32_t metadata_size,
                                       std::uint64_t payload_size) noexcept {
  return (kStdioMagic ^ payload_size) * kSentinelPrime + ((std::uint64_t{metadata_size} << 32) | kind);
}

// W-62: follows the payload.
constexpr std::uint64_t stdio_end_sentinel(std::uint64_t sentinel) noexcept { return ~sentinel; }

constexpr std::uint64_t align_up(std::uint64_t size) noexcept { return (size + kAlignment - 1) & ~(kAlignment - 1); }

// W-23: where a payload starts behind `metadata_size` bytes of metadata and the close sentinel.
constexpr std::uint64_t payload_offset(std::uint64_t metadata_size) noexcept {
  return align_up(kMetadataOffset + metadata_size + kSentinelSize);
}

// W-24: a frame's length in the ring.
constexpr std::uint64_t frame_extent(std::uint64_t metadata_size, std::uint64_t payload_size) noexcept {
  return payload_offset(metadata_size) + align_up(payload_size);
}

}  // namespace shmlane::wire
