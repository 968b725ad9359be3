// SPDX-License-Identifier: Apache-2.0
// What each file of this folder adds to the module, and what Producer and Consumer share.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "arguments.hpp"
#include "gil.hpp"
#include "shmlane/object.hpp"
#include "shmlane/queue.hpp"

namespace shmlane::bindings {

void bind_reservation(py::module_& module);
void bind_lease(py::module_& module);
void bind_lease_handle(py::module_& module);
void bind_producer(py::module_& module);  // needs Reservation
void bind_consumer(py::module_& module);  // needs Lease and LeaseHandle
void bind_stdio(py::module_& module);     // StdioWriter, StdioReader
void bind_stream(py::module_& module);    // Stream, WriteView, LiveView
void bind_tensor(py::module_& module);    // Tensor, TensorMemory
void bind_inspect(py::module_& module);   // looking at segments, and tidying up
void bind_frame(py::module_& module);     // parse_frame, make_frame
void bind_cuda(py::module_& module);      // arrays of GPUs, in builds with them
void route_log();                         // the core's log to logging

// Adds a plain type of CPython to the module, and returns it, which nobody frees.
inline PyTypeObject* add_type(py::module_& module, const char* name, PyType_Spec& spec) {
  const auto type = py::reinterpret_steal<py::object>(PyType_FromSpec(&spec));
  if (!type) throw py::error_already_set();
  module.add_object(name, type);
  return reinterpret_cast<PyTypeObject*>(type.inc_ref().ptr());
}

// A Lease for Python, as a new reference.
PyObject* give_lease(Lease lease);
// Its properties of these names, as new references; nullptr with an error set.
PyObject* array_of(PyObject* lease);
PyObject* plain_array_of(PyObject* lease);
// A Lease within an instance of `type`, which has LeaseHandle as its first base, as a new reference.
PyObject* give_handle(PyObject* type, PyObject* context, Lease lease);

py::dict to_dict(const Counters& counters);
py::dict to_dict(const QueueStat& stat);

// The options that both ends have, from Python's keyword arguments.
void set_queue_options(QueueOptions& options, const py::object& capacity, const std::string& stale,
                       const py::object& mode, bool unlink);

// " within 0.5 s", or "" for a call that did not wait.
std::string describe_wait(const Timeout& timeout);

// Methods of both ends.
template <class Handle, class... Options>
void bind_handle(py::class_<Handle, Options...>& type) {
  type.def_property_readonly("name", &Handle::name, "The queue's name.");
  type.def_property_readonly("capacity", &Handle::capacity, "Bytes of the ring; 0 as long as nobody has named one.");
  type.def_property_readonly("closed", &Handle::closed);
  type.def(
      "close",
      [](Handle& handle) {
        const GilReleased released;
        handle.close();
      },
      "End this handle; who waits on it in another thread gets Closed. Idempotent.");
  type.def("size", &Handle::size, "Objects that wait in the ring.");
  type.def(
      "stat", [](const Handle& handle) { return to_dict(handle.stat()); },
      "Counters and sizes, each right, together perhaps of different moments.");
  type.def(
      "wait",
      [](Handle& handle, const py::object& seconds) {
        const Timeout timeout = to_timeout(seconds);
        const GilReleased released;
        return handle.wait(timeout);
      },
      py::arg("timeout") = py::none(),
      "Wait until the next operation may succeed, without taking anything; False on time-out or cancel_wait.");
  type.def(
      "cancel_wait", [](Handle& handle) { handle.cancel_wait(); },
      "Make every present wait() of this handle in another thread return False soon.");
}

// Hot methods are raw C functions of the type: a call costs no dispatch and no tuple.
inline void add_raw_methods(PyHeapTypeObject* type, PyMethodDef* methods) { type->ht_type.tp_methods = methods; }

using RawMethod = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*);
inline PyMethodDef raw_method(const char* name, RawMethod method, const char* documentation) {
  return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(method)), METH_FASTCALL | METH_KEYWORDS,
          documentation};
}

}  // namespace shmlane::bindings
