// SPDX-License-Identifier: Apache-2.0
// The short way for exact bytes, str and plain ndarray: no codec, no JSON, one copy (SPEC section 8).
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "shmlane/frame.hpp"
#include "shmlane/queue.hpp"

namespace shmlane::bindings {

// A plain object as a frame to be. Borrows the object's memory: the caller keeps the object until the push is over.
class PlainFrame {
 public:
  PlainFrame() = default;
  PlainFrame(const PlainFrame&) = delete;
  PlainFrame& operator=(const PlainFrame&) = delete;

  // False, and no error, if `object` is not plain. Throws InvalidArgument for a str with lone surrogates.
  bool describe(PyObject* object);

  // Only after describe() was true, and as long as this and the object live.
  [[nodiscard]] Producer::Outgoing outgoing() const noexcept { return {metadata_, size_, data_, nullptr}; }

 private:
  bool describe_array(PyObject* array);

  std::string_view metadata_;
  const void* data_ = nullptr;
  std::size_t size_ = 0;
  std::array<char, 256> text_;  // an array's metadata; what needs more goes the long way
};

// The object in a frame with canonical metadata of a plain type, as a new reference; nullptr, and no error, for any
// other. Reads the frame's memory once, since others may write it. Throws Corrupt.
PyObject* decode_plain(const FrameView& frame);

}  // namespace shmlane::bindings
