// SPDX-License-Identifier: Apache-2.0
// What array a stream or a tensor holds, in private memory and in its segment's ArrayHeader (SPEC 11.1).
#pragma once

#include <cstdint>
#include <string>

#include "segment.hpp"
#include "shmlane/dtype.hpp"
#include "shmlane/ndarray.hpp"

namespace shmlane {

struct ArrayFacts {
  DType dtype;
  Dims shape;
  std::uint64_t nbytes = 0;
  std::uint64_t slot_size = 0;
  std::uint32_t slots = 1;

  [[nodiscard]] std::uint64_t body_size() const noexcept { return slots * slot_size; }
  // "float32-like text and shape", for messages: "<f4 (480, 640)".
  [[nodiscard]] std::string text() const;
};

std::string shape_text(const Dims& shape);

// Throws InvalidArgument, UnsupportedType or TooLarge for what cannot be kept so.
ArrayFacts describe_array(const DType& dtype, const Dims& shape, std::uint32_t slots);
// Before the body is published.
void write_array_header(const ArrayFacts& facts, wire::ArrayHeader& header);
// Of a segment whose body is mapped. Throws Corrupt.
ArrayFacts read_array_header(const Segment& segment);

}  // namespace shmlane
