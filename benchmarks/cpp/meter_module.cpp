// SPDX-License-Identifier: Apache-2.0
// bench_meter: how Python workers read every byte of an object and count it, by the same code as C++ workers.
#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#include <Python.h>
#include <numpy/arrayobject.h>
#include <unistd.h>

#include <exception>

#include "board.hpp"

namespace {

bench::Board* board = nullptr;
bench::Meter* meter = nullptr;

PyObject* attach(PyObject*, PyObject* arguments) {
  const char* path = nullptr;
  unsigned index = 0, core = 0;
  if (PyArg_ParseTuple(arguments, "sII", &path, &index, &core) == 0) return nullptr;
  try {
    board = &bench::map_board(path);
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_OSError, error.what());
    return nullptr;
  }
  meter = &board->meters[index % bench::kMaxWorkers];
  bench::publish(meter->pid, static_cast<std::uint64_t>(::getpid()));
  bench::settle(core);
  Py_RETURN_NONE;
}

// The bytes of a contiguous array without a detour through the buffer protocol, which takes NumPy 0.1 us.
PyObject* count(PyObject*, PyObject* object) {
  if (PyArray_CheckExact(object)) {
    auto* const array = reinterpret_cast<PyArrayObject*>(object);
    if (PyArray_IS_C_CONTIGUOUS(array)) {
      bench::count(*meter, {static_cast<const std::byte*>(PyArray_DATA(array)),
                            static_cast<std::size_t>(PyArray_NBYTES(array))});
      Py_RETURN_NONE;
    }
  }
  Py_buffer view;
  if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) != 0) return nullptr;
  bench::count(*meter, {static_cast<const std::byte*>(view.buf), static_cast<std::size_t>(view.len)});
  PyBuffer_Release(&view);
  Py_RETURN_NONE;
}

PyObject* record(PyObject*, PyObject* nanoseconds) {
  const long long ns = PyLong_AsLongLong(nanoseconds);
  if (ns == -1 && PyErr_Occurred() != nullptr) return nullptr;
  bench::record(board->times, ns);
  Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"attach", attach, METH_VARARGS, "attach(path, meter, core): run on that core, count into that meter"},
    {"count", count, METH_O, "Read every byte of an object and count it."},
    {"record", record, METH_O, "Record a time in nanoseconds."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "bench_meter", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_bench_meter() {
  import_array();
  return PyModule_Create(&definition);
}
