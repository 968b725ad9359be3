// SPDX-License-Identifier: Apache-2.0
// A stream as Python holds it: with the dtype of NumPy by which values come and go.
#pragma once

#include <pybind11/numpy.h>

#include <memory>
#include <utility>
#include <vector>

#include "shmlane/stream.hpp"

namespace shmlane::bindings {

class BoundStream : public Stream {
 public:
  explicit BoundStream(Stream stream) : Stream(std::move(stream)) {
    for (const std::int64_t length : Stream::shape()) lengths_.push_back(static_cast<pybind11::ssize_t>(length));
    size_ = Stream::nbytes();
  }
  // Until then nothing is plain. Borrows it: this object may be destroyed without the interpreter's lock.
  void set_dtype(const pybind11::dtype& dtype) { dtype_ = dtype.ptr(); }

  // Whether the object is an array of exactly this dtype, shape and layout, so that bytes may be copied.
  [[nodiscard]] bool is_plain(PyObject* object) const;
  // A new one.
  [[nodiscard]] pybind11::array make_array() const;
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] const std::vector<pybind11::ssize_t>& lengths() const noexcept { return lengths_; }

 private:
  PyObject* dtype_ = nullptr;
  std::vector<pybind11::ssize_t> lengths_;
  std::uint64_t size_ = 0;
};

}  // namespace shmlane::bindings
