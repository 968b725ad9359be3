// SPDX-License-Identifier: Apache-2.0
// A payload that lies in several buffers of Python, held while C++ reads them.
#include "parts.hpp"

#include <cstring>

namespace py = pybind11;

namespace shmlane::bindings {

Parts::Parts(const py::handle& sequence) {
  // A tuple of our own: the caller's list may change in another thread while this one runs without the lock.
  const auto items = py::reinterpret_steal<py::tuple>(PySequence_Tuple(sequence.ptr()));
  if (!items) throw py::error_already_set();
  views_.reserve(items.size());
  for (const py::handle item : items) {
    Py_buffer view;
    if (PyObject_GetBuffer(item.ptr(), &view, PyBUF_SIMPLE) != 0) {
      const py::error_already_set error;
      release();
      throw error;
    }
    views_.push_back(view);
    size_ += static_cast<std::uint64_t>(view.len);
  }
}

Parts::~Parts() { release(); }

void Parts::release() noexcept {
  for (Py_buffer& view : views_) PyBuffer_Release(&view);
  views_.clear();
}

void Parts::write(std::span<std::byte> out) const noexcept {
  std::byte* cursor = out.data();
  for (const Py_buffer& view : views_) {
    const auto size = static_cast<std::size_t>(view.len);
    if (size != 0) std::memcpy(cursor, view.buf, size);
    cursor += size;
  }
}

Part::Part(const py::handle& buffer) {
  if (PyObject_GetBuffer(buffer.ptr(), &view_, PyBUF_SIMPLE) != 0) throw py::error_already_set();
}

}  // namespace shmlane::bindings
