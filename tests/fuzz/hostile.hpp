// SPDX-License-Identifier: Apache-2.0
// Somebody who scribbles over a segment: the words that he changes, and to what, are taken from the fuzzer's input.
#pragma once

#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "atomic.hpp"
#include "frame_seal.hpp"
#include "input.hpp"
#include "support/raw_segment.hpp"

namespace fuzz {

// A name of this process's own. tools/fuzz.py removes what fuzzers that were killed leave behind, by its beginning.
inline std::string segment_name() { return "fuzz-" + std::to_string(::getpid()); }

// Removes the files of that name; those of semaphores contain it, too.
inline void remove_files(const std::string& name) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm", ignored)) {
    if (entry.path().filename().string().find("shmlane." + name) != std::string::npos) {
      std::filesystem::remove(entry.path(), ignored);
    }
  }
}

class Scribbler {
 public:
  static constexpr std::size_t kEntries = 12;  // of the table, which is as far as anybody looks

  // `ids` are of participants, to be forged.
  Scribbler(raw::Segment& segment, std::vector<shmlane::ParticipantId> ids) : segment_(segment), ids_(std::move(ids)) {}

  // Changes one word, or seals one frame.
  void scribble(Input& input) {
    const auto place = input.take<std::uint8_t>();
    if (place >= 0xf0) return seal(input);
    std::uint64_t* const words = reinterpret_cast<std::uint64_t*>(segment_.bytes() + offset_of(place, input));
    *words = changed(*words, input);
  }

 private:
  std::size_t body_size() const { return segment_.size() - shmlane::wire::kBodyOffset; }

  // Most of it where most can be broken: the control words and the headers of frames.
  std::size_t offset_of(std::uint8_t place, Input& input) const {
    namespace wire = shmlane::wire;
    if (place < 0x10) return input.below(sizeof(wire::SegmentHeader) / 8) * 8;
    if (place < 0x30) return wire::kTableOffset + input.below(kEntries * sizeof(wire::ParticipantEntry) / 8) * 8;
    if (place < 0x80) {
      // tail, head, lock, scan, skipped_count, read, waiters, skipped[0], skipped[1]
      constexpr std::array<std::size_t, 11> kWords{0, 8, 64, 128, 136, 144, 192, 256, 320, 384, 392};
      return wire::kControlOffset + kWords[place % kWords.size()];
    }
    if (place < 0x90) return wire::kControlOffset + input.below(sizeof(wire::RingControl) / 8) * 8;
    return wire::kBodyOffset + input.below(body_size() / 64) * 64 + place % 6 * 8;
  }

  std::uint64_t changed(std::uint64_t word, Input& input) const {
    const auto how = input.take<std::uint8_t>();
    switch (how % 8) {
      case 0:
        return input.take<std::uint64_t>();
      case 1:
        return word ^ (std::uint64_t{1} << (input.take<std::uint8_t>() % 64));
      case 2:
        return word + 64 * static_cast<std::uint64_t>(std::int64_t{input.take<std::int8_t>()});
      case 3:
        return input.take<std::uint16_t>();
      case 4:
        return 64 * std::uint64_t{input.take<std::uint16_t>()};
      case 5:
        return kEvil[input.take<std::uint8_t>() % kEvil.size()];
      case 6:  // a frame's control word
        return shmlane::Control{static_cast<shmlane::wire::FrameState>(how / 32), input.take<std::uint8_t>(), id(input)}
            .pack();
      default:
        return id(input);
    }
  }

  shmlane::ParticipantId id(Input& input) const { return ids_[input.take<std::uint8_t>() % ids_.size()]; }

  void seal(Input& input) {
    const std::size_t offset = input.below(body_size() / 64) * 64;
    const std::uint64_t lap = input.take<std::uint8_t>();
    std::byte* const body = segment_.bytes() + shmlane::wire::kBodyOffset;
    seal_frame({body + offset, body_size() - offset}, segment_.header().segment_id, lap * body_size() + offset);
  }

  static constexpr std::array<std::uint64_t, 16> kEvil{
      0,          1,     0xffff, 0x10000, 1ULL << 31, (1ULL << 32) - 1, 1ULL << 32,       1ULL << 46, 1ULL << 62,
      1ULL << 63, ~0ULL, ~63ULL, 4096,    8192,       8192 - 64 + 1,    (1ULL << 63) - 64};
  raw::Segment& segment_;
  std::vector<shmlane::ParticipantId> ids_;
};

}  // namespace fuzz
