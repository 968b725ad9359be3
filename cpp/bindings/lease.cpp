// SPDX-License-Identifier: Apache-2.0
// Lease, a frame in the ring that Python reads through the buffer protocol: a plain type of CPython, because one is made
// for every object that is not plain, and an instance of a bound class costs more than taking the frame.
#include <array>
#include <new>
#include <utility>

#include "bind.hpp"
#include "buffer.hpp"
#include "errors.hpp"
#include "plain_array.hpp"

namespace shmlane::bindings {
namespace {

struct LeaseObject {
  PyObject head;
  Lease lease;
};

PyTypeObject* lease_type = nullptr;  // set once, when the module is made

Lease& lease_of(PyObject* self) { return reinterpret_cast<LeaseObject*>(self)->lease; }

void free_lease(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  lease_of(self).~Lease();
  type->tp_free(self);
  Py_DECREF(type);
}

int lease_buffer(PyObject* self, Py_buffer* view, int flags) {
  return give_buffer(self, view, flags, [&lease = lease_of(self)] { return lease.payload(); });
}

PyObject* get_metadata(PyObject* self, void*) {
  return guarded([&] { return py::bytes(lease_of(self).metadata_text()).release().ptr(); });
}

PyObject* get_attempt(PyObject* self, void*) { return PyLong_FromUnsignedLong(lease_of(self).attempt()); }

PyObject* get_nbytes(PyObject* self, void*) {
  return guarded([&] { return PyLong_FromSize_t(lease_of(self).payload().size()); });
}

PyObject* get_plain_array(PyObject* self, void*) { return plain_array_of(self); }
PyObject* get_array(PyObject* self, void*) { return array_of(self); }

std::array properties = {
    PyGetSetDef{"metadata", &get_metadata, nullptr, "The frame's metadata, as bytes.", nullptr},
    PyGetSetDef{"attempt", &get_attempt, nullptr, "0 for the first delivery.", nullptr},
    PyGetSetDef{"plain_array", &get_plain_array, nullptr,
                "The payload of a plain ndarray, in place and read-only, keeping this lease; None for anything else.",
                nullptr},
    PyGetSetDef{"array", &get_array, nullptr,
                "As plain_array, and of bytes as uint8, too; None for anything else, or if there are no bytes.",
                nullptr},
    PyGetSetDef{"nbytes", &get_nbytes, nullptr, "Bytes of the payload.", nullptr},
    PyGetSetDef{},
};

char documentation[] = "A frame held in the ring; its buffer is the read-only, 64-byte aligned payload.";

std::array type_slots = {
    PyType_Slot{Py_tp_dealloc, reinterpret_cast<void*>(&free_lease)},
    PyType_Slot{Py_tp_getset, properties.data()},
    PyType_Slot{Py_tp_doc, documentation},
    PyType_Slot{Py_bf_getbuffer, reinterpret_cast<void*>(&lease_buffer)},
    PyType_Slot{},
};

PyType_Spec spec = {"shmlane._native.Lease", sizeof(LeaseObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, type_slots.data()};

}  // namespace

PyObject* give_lease(Lease lease) {
  PyObject* const self = lease_type->tp_alloc(lease_type, 0);
  if (self == nullptr) throw py::error_already_set();
  new (&lease_of(self)) Lease(std::move(lease));
  return self;
}

PyObject* plain_array_of(PyObject* lease) {
  return guarded([&] {
    const Lease& held = lease_of(lease);
    PyObject* const array = view_array({held.metadata_text(), held.payload()}, lease);
    return array != nullptr ? array : py::none().release().ptr();
  });
}

PyObject* array_of(PyObject* lease) {
  return guarded([&] {
    const Lease& held = lease_of(lease);
    const FrameView frame{held.metadata_text(), held.payload()};
    PyObject* array = view_bytes(frame, lease);
    if (array == nullptr) array = view_array(frame, lease);
    return array != nullptr ? array : py::none().release().ptr();
  });
}

void bind_lease(py::module_& module) { lease_type = add_type(module, "Lease", spec); }

}  // namespace shmlane::bindings
