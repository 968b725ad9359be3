// SPDX-License-Identifier: Apache-2.0
// Looking at segments from outside: what `shmlane ls`, `stat` and `rm` stand on. Takes no lock, becomes no participant.
#pragma once

#include <cstdint>
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
  unsigned index = 0;
  std::uint32_t pid = 0;
  std::string process_name;
  bool producer = false, consumer = false, alive = false;
  std::uint64_t attached_ns = 0;  // since the UNIX epoch
  std::vector<HeldFrame> holds;
};

struct SegmentInfo {
  std::string name;
  wire::Kind kind{};
  std::uint32_t version = 0;
  wire::SegmentState state{};
  std::uint64_t segment_id = 0, created_ns = 0, file_size = 0, objects = 0;
  std::uint32_t mode = 0;
  QueueStat stat;
  std::vector<ParticipantInfo> participants;
};

// Names of all files that are named like a segment, sorted.
SHMLANE_EXPORT std::vector<std::string> list_segments();

// Facts about one segment; a moving target gives numbers of different moments. Throws NotFound, Foreign,
// WrongVersion, WrongLayout, PermissionDenied.
SHMLANE_EXPORT SegmentInfo inspect_segment(std::string_view name);

// Removes a segment and its semaphores. False, and nothing done, if somebody lives in it and not `force`. With force
// those who live in it go on among themselves, newcomers get a new segment. Throws NotFound, Foreign, PermissionDenied.
SHMLANE_EXPORT bool remove_segment(std::string_view name, bool force = false);

}  // namespace shmlane
