// SPDX-License-Identifier: Apache-2.0
// LeaseHandle, the base of shmlane.Lease: a use of a Lease that `release`, or the end of a `with`, ends, whoever still has
// views. Whatever is not done in few instructions is left to the class of Python behind it in the order of bases.
#include <Python.h>
#include <structmember.h>

#include <array>
#include <cstddef>
#include <utility>

#include "bind.hpp"
#include "errors.hpp"

namespace shmlane::bindings {
namespace {

struct HandleObject {
  PyObject head;
  PyObject* weak_references;
  PyObject* native;  // the Lease; null once released
  PyObject* context;
  PyObject* object;  // decoded; null before
};

PyTypeObject* handle_type = nullptr;  // set once, when the module is made

HandleObject& handle_of(PyObject* self) { return *reinterpret_cast<HandleObject*>(self); }

void let_go(HandleObject& handle) {
  Py_CLEAR(handle.object);
  Py_CLEAR(handle.native);
}

int visit_handle(PyObject* self, visitproc visit, void* arg) {
  const HandleObject& handle = handle_of(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(handle.native);
  Py_VISIT(handle.context);
  Py_VISIT(handle.object);
  return 0;
}

int clear_handle(PyObject* self) {
  let_go(handle_of(self));
  Py_CLEAR(handle_of(self).context);
  return 0;
}

void free_handle(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  if (handle_of(self).weak_references != nullptr) PyObject_ClearWeakRefs(self);
  clear_handle(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* enter(PyObject* self, PyObject*) { return Py_NewRef(self); }

PyObject* release(PyObject* self, PyObject*) {
  let_go(handle_of(self));
  Py_RETURN_NONE;
}

PyObject* leave(PyObject* self, PyObject* const*, Py_ssize_t, PyObject*) { return release(self, nullptr); }

// super().name
PyObject* get_beyond(PyObject* self, const char* name) {
  const auto beyond = py::reinterpret_steal<py::object>(PyObject_CallFunctionObjArgs(
      reinterpret_cast<PyObject*>(&PySuper_Type), reinterpret_cast<PyObject*>(handle_type), self, nullptr));
  return beyond ? PyObject_GetAttrString(beyond.ptr(), name) : nullptr;
}

PyObject* handle_array(PyObject* self, void*) {
  PyObject* const native = handle_of(self).native;
  PyObject* const array = native == nullptr ? Py_NewRef(Py_None) : array_of(native);
  if (array != Py_None) return array;
  Py_DECREF(array);
  return get_beyond(self, "array");
}

PyObject* handle_object(PyObject* self, void*) {
  HandleObject& handle = handle_of(self);
  if (handle.object == nullptr || handle.object == Py_None) {
    PyObject* const array = handle.native == nullptr ? Py_NewRef(Py_None) : plain_array_of(handle.native);
    if (array == nullptr) return nullptr;
    Py_XSETREF(handle.object, array);
    if (array == Py_None) return get_beyond(self, "object");
  }
  return Py_NewRef(handle.object);
}

std::array handle_methods = {
    PyMethodDef{"__enter__", &enter, METH_NOARGS, nullptr},
    raw_method("__exit__", &leave, nullptr),
    PyMethodDef{"release", &release, METH_NOARGS, "End the use of this lease. Idempotent."},
    PyMethodDef{},
};

std::array handle_properties = {
    PyGetSetDef{"array", &handle_array, nullptr, nullptr, nullptr},
    PyGetSetDef{"object", &handle_object, nullptr, nullptr, nullptr},
    PyGetSetDef{},
};

std::array handle_members = {
    PyMemberDef{"_native", T_OBJECT, offsetof(HandleObject, native), READONLY, nullptr},
    PyMemberDef{"_context", T_OBJECT, offsetof(HandleObject, context), READONLY, nullptr},
    PyMemberDef{"_object", T_OBJECT, offsetof(HandleObject, object), 0, nullptr},
    PyMemberDef{"__weaklistoffset__", T_PYSSIZET, offsetof(HandleObject, weak_references), READONLY, nullptr},
    PyMemberDef{},
};

char handle_documentation[] =
    "A use of a lease, which ends with release() or the end of a with; the base of shmlane.Lease.";

std::array handle_slots = {
    PyType_Slot{Py_tp_dealloc, reinterpret_cast<void*>(&free_handle)},
    PyType_Slot{Py_tp_traverse, reinterpret_cast<void*>(&visit_handle)},
    PyType_Slot{Py_tp_clear, reinterpret_cast<void*>(&clear_handle)},
    PyType_Slot{Py_tp_methods, handle_methods.data()},
    PyType_Slot{Py_tp_getset, handle_properties.data()},
    PyType_Slot{Py_tp_members, handle_members.data()},
    PyType_Slot{Py_tp_doc, handle_documentation},
    PyType_Slot{},
};

PyType_Spec handle_spec = {
    "shmlane._native.LeaseHandle", sizeof(HandleObject), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    handle_slots.data()};

}  // namespace

PyObject* give_handle(PyObject* type, PyObject* context, Lease lease) {
  if (PyType_Check(type) == 0 || PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(type), handle_type) == 0) {
    throw py::type_error("a lease class must have LeaseHandle as its first base");
  }
  auto native = py::reinterpret_steal<py::object>(give_lease(std::move(lease)));
  PyObject* const self = PyType_GenericAlloc(reinterpret_cast<PyTypeObject*>(type), 0);
  if (self == nullptr) throw py::error_already_set();
  handle_of(self).native = native.release().ptr();
  handle_of(self).context = Py_NewRef(context);
  return self;
}

void bind_lease_handle(py::module_& module) { handle_type = add_type(module, "LeaseHandle", handle_spec); }

}  // namespace shmlane::bindings
