// SPDX-License-Identifier: Apache-2.0
// The short way for exact bytes, str and plain ndarray: no codec, no JSON, one copy (SPEC section 8).
#include "plain.hpp"

#include <pybind11/numpy.h>

#include <cstring>
#include <memory>
#include <string>

#include "gil.hpp"
#include "plain_array.hpp"
#include "shmlane/error.hpp"

namespace shmlane::bindings {
namespace {

constexpr std::string_view kText = R"({"type":"text"})";

PyObject* decode_bytes(std::span<const std::byte> payload) {
  auto bytes =
      py::reinterpret_steal<py::object>(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(payload.size())));
  if (!bytes) throw py::error_already_set();
  copy_bytes(PyBytes_AS_STRING(bytes.ptr()), payload.data(), payload.size());
  return bytes.release().ptr();
}

PyObject* decode_text(std::span<const std::byte> payload) {
  if (payload.empty()) return py::str().release().ptr();
  // The decoder looks at its input more than once, so it must not be memory that others may write.
  std::array<char, 1024> small;
  std::unique_ptr<char[]> large;
  char* text = small.data();
  if (payload.size() > small.size()) {
    large = std::make_unique_for_overwrite<char[]>(payload.size());
    text = large.get();
  }
  copy_bytes(text, payload.data(), payload.size());
  PyObject* result = PyUnicode_DecodeUTF8(text, static_cast<Py_ssize_t>(payload.size()), nullptr);
  if (result != nullptr) return result;
  const py::error_already_set error;
  if (!error.matches(PyExc_UnicodeDecodeError)) throw error;
  throw Corrupt("a text object of " + std::to_string(payload.size()) + " bytes is not UTF-8: " + error.what());
}

}  // namespace

bool PlainFrame::describe(PyObject* object) {
  if (PyBytes_CheckExact(object)) {
    metadata_ = kBytesMetadata;
    data_ = PyBytes_AS_STRING(object);
    size_ = static_cast<std::size_t>(PyBytes_GET_SIZE(object));
    return true;
  }
  if (PyUnicode_CheckExact(object)) {
    Py_ssize_t size = 0;
    metadata_ = kText;
    data_ = PyUnicode_AsUTF8AndSize(object, &size);
    size_ = static_cast<std::size_t>(size);
    if (data_ != nullptr) return true;
    const py::error_already_set error;
    if (!error.matches(PyExc_UnicodeEncodeError)) throw error;
    throw InvalidArgument(std::string("this str has lone surrogates and is no UTF-8 text: ") + error.what());
  }
  return is_exact_array(object) && describe_array(object);
}

bool PlainFrame::describe_array(PyObject* object) {
  const auto array = py::reinterpret_borrow<py::array>(object);
  metadata_ = array_metadata(array, text_);
  data_ = array.data();
  size_ = static_cast<std::size_t>(array.nbytes());
  return !metadata_.empty();
}

PyObject* decode_plain(const FrameView& frame) {
  if (frame.metadata == kBytesMetadata) return decode_bytes(frame.payload);
  if (frame.metadata == kText) return decode_text(frame.payload);
  return decode_array(frame);
}

}  // namespace shmlane::bindings
