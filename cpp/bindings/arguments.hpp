// SPDX-License-Identifier: Apache-2.0
// Arguments from Python, checked: time-outs, sizes, names, words, and the calls of raw C methods.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "shmlane/error.hpp"
#include "shmlane/queue.hpp"

namespace shmlane::bindings {

namespace py = pybind11;

// Seconds, or None for ever. Negative is zero; NaN throws InvalidArgument; centuries are for ever.
Timeout to_timeout(PyObject* seconds);
inline Timeout to_timeout(const py::handle& seconds) { return to_timeout(seconds.ptr()); }

// A count or number of bytes from 0 to 2^64-1. Throws InvalidArgument that names `what`.
std::uint64_t to_unsigned(const py::handle& number, const char* what);

// A segment's name as UTF-8. Throws InvalidName for lone surrogates.
std::string to_name(const py::str& name);

// One of a few words. Throws InvalidArgument that lists them.
template <class Value, std::size_t kCount>
Value to_choice(std::string_view word, const char* what, const std::pair<std::string_view, Value> (&choices)[kCount]) {
  std::string known;
  for (const auto& [name, value] : choices) {
    if (name == word) return value;
    known += (known.empty() ? "'" : ", '") + std::string(name) + "'";
  }
  throw InvalidArgument(std::string(what) + " is '" + std::string(word) + "'; it must be one of " + known);
}

// The bytes of a `bytes` object. Borrows it.
inline std::string_view view_of(const py::bytes& bytes) {
  return {PyBytes_AS_STRING(bytes.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr()))};
}

// A call of a METH_FASTCALL | METH_KEYWORDS method.
struct Call {
  PyObject* const* arguments;
  Py_ssize_t positional;
  PyObject* keywords;  // tuple of names, or nullptr

  // Puts the arguments into `slots`, in the order of `names`; what is not given stays as it was. The first `required`
  // must be given. Throws TypeError as an exception of Python.
  void unpack(const char* method, std::span<const char* const> names, std::span<PyObject*> slots,
              std::size_t required) const;
};

// What pybind11 keeps for `self`, an instance of a final class without bases: no look-up by type is needed, since the
// method's descriptor has checked the type. Throws Closed if __init__ never ran.
template <class T>
T& instance_of(PyObject* self) {
  void* value = reinterpret_cast<py::detail::instance*>(self)->simple_value_holder[0];
  if (value == nullptr) throw Closed(std::string(Py_TYPE(self)->tp_name) + " was never initialised");
  return *static_cast<T*>(value);
}

}  // namespace shmlane::bindings
