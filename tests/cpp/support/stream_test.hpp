// SPDX-License-Identifier: Apache-2.0
// A stream of its own for each test.
#pragma once

#include <string>
#include <vector>

#include "shmlane/stream.hpp"
#include "support/shm.hpp"

inline const shmlane::DType kFloat = shmlane::DType::of<float>();

// A stream that is gone when the test ends.
class StreamTest : public ShmTest {
 public:
  ~StreamTest() {
    for (const char* which : {"s", "t", "u"}) shmlane::unlink_stream(name(which));
  }
  shmlane::Stream create(const shmlane::Dims& shape = {4}, const shmlane::DType& dtype = kFloat,
                         const shmlane::StreamOptions& options = {}) const {
    return shmlane::Stream::create(name("s"), dtype, shape, options);
  }
  shmlane::Stream open() const { return shmlane::Stream::open(name("s")); }
};

inline std::vector<float> row(float value, std::size_t size = 4) { return std::vector<float>(size, value); }

inline const std::vector<float> kOnes = row(1);

inline std::vector<float> read(const shmlane::Stream& stream) {
  std::vector<float> out(stream.nbytes() / sizeof(float));
  stream.read(out);
  return out;
}
