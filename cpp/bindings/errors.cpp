// SPDX-License-Identifier: Apache-2.0
// Errors of the core as exceptions of shmlane.errors, one class per code.
#include "errors.hpp"

namespace py = pybind11;

namespace shmlane::bindings {

void set_python_error(const Error& error) {
  try {
    const py::object by_name = py::module_::import("shmlane.errors").attr("by_name");
    const py::object type = by_name[error_name(error.code())];
    // A message may quote bytes that another process wrote, so it need not be UTF-8.
    const auto text = py::reinterpret_steal<py::object>(PyUnicode_DecodeUTF8(
        error.what(), static_cast<Py_ssize_t>(std::char_traits<char>::length(error.what())), "backslashreplace"));
    if (!text) throw py::error_already_set();
    PyErr_SetObject(type.ptr(), text.ptr());
  } catch (py::error_already_set& failure) {
    failure.restore();
  }
}

void register_errors() {
  py::register_local_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const Error& error) {
      set_python_error(error);
    }
  });
}

}  // namespace shmlane::bindings
