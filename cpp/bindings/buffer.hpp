// SPDX-License-Identifier: Apache-2.0
// The buffer protocol for C++ memory that an object of Python owns or holds.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <span>
#include <type_traits>

#include "errors.hpp"

namespace shmlane::bindings {

// The body of a getbuffer slot: a view of all of `memory()`, read-only if its bytes are const. It keeps `self` alive.
template <class Memory>
int give_buffer(PyObject* self, Py_buffer* view, int flags, Memory memory) {
  view->obj = nullptr;
  PyObject* const done = guarded([&]() -> PyObject* {
    const auto bytes = memory();
    constexpr bool kReadOnly = std::is_const_v<typename decltype(bytes)::element_type>;
    auto* const start = const_cast<std::byte*>(bytes.data());
    const auto size = static_cast<Py_ssize_t>(bytes.size());
    return PyBuffer_FillInfo(view, self, start, size, kReadOnly ? 1 : 0, flags) == 0 ? self : nullptr;
  });
  return done == nullptr ? -1 : 0;
}

// Gives a bound class the slot `kGetBuffer`: pybind11's own takes a detour through a description of shape and format.
template <int (*kGetBuffer)(PyObject*, Py_buffer*, int)>
pybind11::custom_type_setup with_buffer() {
  return pybind11::custom_type_setup([](PyHeapTypeObject* type) {
    type->as_buffer.bf_getbuffer = kGetBuffer;
    type->ht_type.tp_as_buffer = &type->as_buffer;
  });
}

}  // namespace shmlane::bindings
