// SPDX-License-Identifier: Apache-2.0
// What the ring takes and gives.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shmlane/frame.hpp"
#include "shmlane/wire.hpp"

namespace shmlane {

using Position = std::uint64_t;

struct Place {  // a frame in the ring, as its present owner sees it
  Position position;
  std::byte* frame;
};

struct Taking {  // a frame that was just leased
  Place place;
  FrameExtents extents;
  unsigned attempt;
  bool sound;  // else `extents` say nothing, and Ring::view() what is wrong
};

struct Run {  // frames, or free room, in one piece
  Position begin;
  std::uint64_t size;  // bytes
};

struct Contents {             // what is in the ring
  std::uint64_t waiting = 0;  // RESERVED and READY frames
  std::uint64_t bytes = 0;    // of these and the LEASED ones
};

struct Limits {                   // what a producer asks for beyond room
  std::uint64_t max_objects = 0;  // waiting in the ring at most; 0: no limit
  bool drop_oldest = false;       // make room by dropping what nobody has taken yet
  bool windows = true;            // begin again where a window ends (ring_window.hpp)
};

constexpr bool finished(wire::FrameState state) noexcept {
  return state == wire::FrameState::kFree || state == wire::FrameState::kAbandoned || state == wire::FrameState::kPad;
}

}  // namespace shmlane
