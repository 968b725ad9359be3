// SPDX-License-Identifier: Apache-2.0
// Errors of the core as exceptions of shmlane.errors, one class per code.
#pragma once

#include <pybind11/pybind11.h>

#include <exception>
#include <new>
#include <utility>

#include "shmlane/error.hpp"

namespace shmlane::bindings {

// Sets the exception of the same name as `error`'s code. The caller holds the interpreter's lock.
void set_python_error(const Error& error);

// Makes every function bound by pybind11 raise the classes of shmlane.errors.
void register_errors();

// Runs the body of a raw C function: what it throws becomes the Python exception, and the result nullptr.
// Catches by type, since a thread that the interpreter ends is unwound by something that is not to be caught.
template <class Body>
PyObject* guarded(Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (pybind11::error_already_set& error) {
    error.restore();
  } catch (const Error& error) {
    set_python_error(error);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

}  // namespace shmlane::bindings
