// SPDX-License-Identifier: Apache-2.0
// Objects of Python that C++ keeps, and lets go wherever it does so last.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <utility>

#include "gil.hpp"

namespace shmlane::bindings {

// Runs `work` under the interpreter's lock, taken if need be; not at all while the interpreter ends: then what it would
// let go goes with the process.
template <class Work>
void with_gil(Work&& work) noexcept {
  if (finalizing()) return;
  const PyGILState_STATE state = take_gil(&PyGILState_Ensure);
  std::forward<Work>(work)();
  PyGILState_Release(state);
}

// Keeps `object` until the last copy of the pointer goes, in whatever thread.
inline std::shared_ptr<void> hold(const pybind11::object& object) {
  return {object.inc_ref().ptr(), [](void* held) { with_gil([held] { Py_DECREF(static_cast<PyObject*>(held)); }); }};
}

}  // namespace shmlane::bindings
