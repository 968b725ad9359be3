// SPDX-License-Identifier: Apache-2.0
// Reservation, a place in the ring that Python writes through the buffer protocol.
#include "reservation.hpp"

#include <pybind11/stl.h>

#include "arguments.hpp"
#include "bind.hpp"
#include "buffer.hpp"

namespace shmlane::bindings {
namespace {

int reservation_buffer(PyObject* self, Py_buffer* view, int flags) {
  return give_buffer(self, view, flags, [self] { return instance_of<HeldReservation>(self).payload(); });
}

}  // namespace

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

}  // namespace shmlane::bindings
