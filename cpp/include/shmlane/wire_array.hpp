// SPDX-License-Identifier: Apache-2.0
// Layout constants and plain structs of streams and tensors (wire-format/SPEC.md, section 11).
#pragma once

#include "shmlane/wire.hpp"

namespace shmlane::wire {

inline constexpr std::uint32_t kMinSlots = 3;
inline constexpr std::uint32_t kMaxSlots = 255;
inline constexpr std::size_t kArrayOffset = kControlOffset + 1024;

struct StreamControl {  // at kControlOffset in a stream
  // Written by the holder of write_lock.
  std::uint64_t write_lock;  // atomic; id of the holder, 0 = free; never left to anybody
  std::uint64_t writing;     // atomic; the count of the value that is being written, or was written last
  std::uint64_t writer;      // atomic; id of who wrote last
  std::uint64_t written_ns;  // atomic; when, since the UNIX epoch
  std::uint64_t reserved0[4];
  Line published;   // atomic; {slot: 8, count: 56} of the newest complete value; written by the holder of write_lock
  Line value_bell;  // atomic; a bell, rung after each value
  Line lock_bell;   // atomic; a bell, rung when write_lock is given back
};

struct TensorControl {       // at kControlOffset in a tensor
  std::uint64_t write_lock;  // atomic; as in a stream
  std::uint64_t reserved0[7];
  Line lock_bell;  // atomic; a bell, rung when write_lock or a read lock is given back
};

struct ArrayHeader {         // at kArrayOffset in streams and tensors; written once, before the body is laid out
  std::uint64_t nbytes;      // of the array
  std::uint64_t slot_size;   // bytes from one slot to the next; a multiple of 64
  std::uint32_t slots;       // copies of the array in the body; 1 in a tensor
  std::uint32_t dimensions;  // lengths in `shape`
  std::uint32_t itemsize;    // bytes
  std::uint32_t dtype_size;  // bytes of `dtype`
  std::uint64_t shape[64];   // items
  char dtype[2048];          // JSON, as metadata has it (W-84)
};

}  // namespace shmlane::wire
