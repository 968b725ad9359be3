// SPDX-License-Identifier: Apache-2.0
// Arguments from Python, checked: time-outs, sizes, names, words, and the calls of raw C methods.
#include "arguments.hpp"

#include <chrono>
#include <cmath>

namespace shmlane::bindings {

Timeout to_timeout(PyObject* seconds) {
  if (seconds == Py_None) return forever;
  const double value = PyFloat_AsDouble(seconds);
  if (value == -1.0 && PyErr_Occurred() != nullptr) throw py::error_already_set();
  if (std::isnan(value)) throw InvalidArgument("a time-out is not a number; give seconds, or None to wait for ever");
  if (value <= 0) return no_wait;
  constexpr double kCenturies = 9e9;  // seconds; the nanoseconds of more do not fit 63 bits
  if (value >= kCenturies) return forever;
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::ceil(value * 1e9)));
}

std::uint64_t to_unsigned(const py::handle& number, const char* what) {
  const auto integer = py::reinterpret_steal<py::object>(PyNumber_Index(number.ptr()));
  if (!integer) throw py::error_already_set();
  const unsigned long long value = PyLong_AsUnsignedLongLong(integer.ptr());
  if (value == static_cast<unsigned long long>(-1) && PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    throw InvalidArgument(std::string(what) + " is " + py::repr(integer).cast<std::string>() +
                          "; it must be between 0 and 2^64-1");
  }
  return value;
}

std::string to_name(const py::str& name) {
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(name.ptr(), &size);
  if (text == nullptr) {
    PyErr_Clear();
    throw InvalidName("the name " + py::repr(name).cast<std::string>() + " has lone surrogates: it is not UTF-8");
  }
  return {text, static_cast<std::size_t>(size)};
}

namespace {

[[noreturn]] void raise_type_error(const char* format, const char* method, PyObject* detail) {
  PyErr_Format(PyExc_TypeError, format, method, detail);
  throw py::error_already_set();
}

std::size_t find_name(std::span<const char* const> names, PyObject* keyword) {
  std::size_t index = 0;
  while (index < names.size() && PyUnicode_CompareWithASCIIString(keyword, names[index]) != 0) ++index;
  return index;
}

}  // namespace

void Call::unpack(const char* method, std::span<const char* const> names, std::span<PyObject*> slots,
                  std::size_t required) const {
  const auto given = static_cast<std::size_t>(positional);
  if (given > names.size()) {
    PyErr_Format(PyExc_TypeError, "%s() takes at most %zu arguments, %zu were given", method, names.size(), given);
    throw py::error_already_set();
  }
  for (std::size_t i = 0; i < given; ++i) slots[i] = arguments[i];
  const Py_ssize_t named = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
  for (Py_ssize_t i = 0; i < named; ++i) {
    PyObject* keyword = PyTuple_GET_ITEM(keywords, i);
    const std::size_t index = find_name(names, keyword);
    if (index == names.size()) raise_type_error("%s() has no argument %R", method, keyword);
    if (index < given) raise_type_error("%s() was given %R twice", method, keyword);
    slots[index] = arguments[positional + i];
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (slots[i] == nullptr) {
      PyErr_Format(PyExc_TypeError, "%s() needs '%s'", method, names[i]);
      throw py::error_already_set();
    }
  }
}

}  // namespace shmlane::bindings
