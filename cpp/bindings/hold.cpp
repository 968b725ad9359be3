// SPDX-License-Identifier: Apache-2.0
// Reservation and Lease: places in the ring that Python reads and writes through the buffer protocol.
#include "hold.hpp"

#include <pybind11/stl.h>

#include "arguments.hpp"
#include "bind.hpp"
#include "errors.hpp"

namespace shmlane::bindings {
namespace {

// A getbuffer slot: gives all of `memory(self)`; the view holds `self`, and so the place in the ring.
template <class Memory>
int give_buffer(PyObject* self, Py_buffer* view, int flags, bool read_only, Memory memory) {
  view->obj = nullptr;
  PyObject* const done = guarded([&]() -> PyObject* {
    const auto bytes = memory();
    auto* start = const_cast<std::byte*>(bytes.data());
    const auto size = static_cast<Py_ssize_t>(bytes.size());
    return PyBuffer_FillInfo(view, self, start, size, read_only ? 1 : 0, flags) == 0 ? self : nullptr;
  });
  return done == nullptr ? -1 : 0;
}

int reservation_buffer(PyObject* self, Py_buffer* view, int flags) {
  return give_buffer(self, view, flags, false, [self] { return instance_of<HeldReservation>(self).payload(); });
}

int lease_buffer(PyObject* self, Py_buffer* view, int flags) {
  return give_buffer(self, view, flags, true, [self] {
    const Lease& lease = instance_of<Lease>(self);
    return lease.payload();
  });
}

template <int (*kGetBuffer)(PyObject*, Py_buffer*, int)>
py::custom_type_setup with_buffer() {
  return py::custom_type_setup([](PyHeapTypeObject* type) {
    type->as_buffer.bf_getbuffer = kGetBuffer;
    type->ht_type.tp_as_buffer = &type->as_buffer;
  });
}

void bind_reservation(py::module_& module) {
  py::class_<HeldReservation> type(module, "Reservation", py::is_final(), with_buffer<reservation_buffer>(),
                                   "A place in the ring; its buffer is the writable, 64-byte aligned payload.");
  type.def_property_readonly("nbytes", &HeldReservation::nbytes, "Bytes reserved for the payload.");
  type.def_property_readonly("open", &HeldReservation::open, "False after commit or abort.");
  type.def(
      "commit",
      [](HeldReservation& held, const std::optional<py::bytes>& metadata, const py::object& nbytes) {
        held.commit(metadata ? std::optional(view_of(*metadata)) : std::nullopt,
                    nbytes.is_none() ? held.nbytes() : to_unsigned(nbytes, "nbytes"));
      },
      py::arg("metadata") = py::none(), py::arg("nbytes") = py::none(),
      "Publish; with arguments other metadata and/or only the first nbytes.");
  type.def("abort", &HeldReservation::abort, "Give the place back.");
}

void bind_lease(py::module_& module) {
  py::class_<Lease> type(module, "Lease", py::is_final(), with_buffer<lease_buffer>(),
                         "A frame held in the ring; its buffer is the read-only, 64-byte aligned payload.");
  type.def_property_readonly("metadata", [](const Lease& lease) { return py::bytes(lease.metadata_text()); });
  type.def_property_readonly("attempt", &Lease::attempt, "0 for the first delivery.");
  type.def_property_readonly("nbytes", [](const Lease& lease) { return lease.payload().size(); });
}

}  // namespace

void bind_holds(py::module_& module) {
  bind_reservation(module);
  bind_lease(module);
}

}  // namespace shmlane::bindings
