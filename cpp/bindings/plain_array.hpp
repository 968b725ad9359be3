// SPDX-License-Identifier: Apache-2.0
// Plain arrays: their canonical metadata, written and read without a JSON parser (SPEC section 8).
#pragma once

#include <pybind11/numpy.h>

#include <span>
#include <string_view>

#include "shmlane/frame.hpp"

namespace shmlane::bindings {

// As every implementation writes it; any other way of saying so takes the parser.
inline constexpr std::string_view kBytesMetadata = R"({"type":"bytes"})";

// Whether `object` is a numpy.ndarray and of no subclass.
bool is_exact_array(PyObject* object);

// The metadata of a C-contiguous array of a built-in dtype that is plain data, written into `out`; empty for any other
// array, and where `out` is too small.
std::string_view array_metadata(const pybind11::array& array, std::span<char> out);

// A new array with the frame's contents; nullptr, and no error, if its metadata is not what array_metadata() writes.
// Throws Corrupt if the payload is not as long as dtype and shape say.
PyObject* decode_array(const FrameView& frame);
// The same without a copy: read-only, over the payload, and keeping `owner` alive. nullptr also for an empty array.
PyObject* view_array(const FrameView& frame, PyObject* owner);
// The same of a frame of bytes, as uint8.
PyObject* view_bytes(const FrameView& frame, PyObject* owner);

}  // namespace shmlane::bindings
