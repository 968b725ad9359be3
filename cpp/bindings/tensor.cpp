// SPDX-License-Identifier: Apache-2.0
// Tensor: an array in shared memory that Python uses in place.
#include "shmlane/tensor.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "array_options.hpp"
#include "bind.hpp"
#include "buffer.hpp"

namespace shmlane::bindings {
namespace {

// The tensor's memory, which outlives the closing of its handle.
struct TensorMemory {
  std::span<std::byte> bytes;
  bool writable;
  std::shared_ptr<const void> memory;
};

int tensor_buffer(PyObject* self, Py_buffer* view, int flags) {
  const auto& memory = instance_of<TensorMemory>(self);
  if (memory.writable) return give_buffer(self, view, flags, [&] { return memory.bytes; });
  return give_buffer(self, view, flags, [&] { return std::span<const std::byte>(memory.bytes); });
}

// The items of an array of NumPy in C order, as the asked array's. Throws InvalidArgument.
NdView to_items(const py::object& data, const AskedArray& asked) {
  const bool plain =
      py::isinstance<py::array>(data) && (py::reinterpret_borrow<py::array>(data).flags() & py::array::c_style) != 0;
  const void* const items = plain ? py::reinterpret_borrow<py::array>(data).data() : nullptr;
  const NdView view = NdView::contiguous(asked.dtype, asked.shape, items);
  if (!plain || static_cast<std::uint64_t>(py::reinterpret_borrow<py::array>(data).nbytes()) != view.nbytes()) {
    throw InvalidArgument("the data is no array in C order of the tensor's shape and dtype");
  }
  return view;
}

std::unique_ptr<Tensor> make_tensor(const py::str& name, const py::object& dtype, const py::object& shape,
                                    const py::object& data, const py::object& mode, bool writable, bool auto_unlink) {
  const TensorOptions options{
      .mode = to_mode(mode), .writable = writable, .auto_unlink = auto_unlink, .interrupt_check = &interrupt_check};
  const std::string text = to_name(name);
  const std::optional<AskedArray> asked = to_array(dtype, shape);
  const std::optional<NdView> items = asked && !data.is_none() ? std::optional(to_items(data, *asked)) : std::nullopt;
  const GilReleased released;
  if (items) return std::make_unique<Tensor>(Tensor::create(text, *items, options));
  return std::make_unique<Tensor>(asked ? Tensor::create(text, asked->dtype, asked->shape, options)
                                        : Tensor::attach(text, options));
}

template <bool (Tensor::*kLock)(Timeout)>
bool lock_within(Tensor& tensor, const py::object& seconds) {
  const Timeout timeout = to_timeout(seconds);
  const GilReleased released;
  return (tensor.*kLock)(timeout);
}

}  // namespace

void bind_tensor(py::module_& module) {
  py::class_<TensorMemory>(module, "TensorMemory", py::is_final(), with_buffer<tensor_buffer>(),
                           "The memory of a tensor.");
  py::class_<Tensor> type(module, "Tensor", py::is_final(), py::release_gil_before_calling_cpp_dtor(),
                          "A named array in shared memory.");
  type.def(py::init(&make_tensor), py::arg("name"), py::kw_only(), py::arg("dtype") = py::none(),
           py::arg("shape") = py::none(), py::arg("data") = py::none(), py::arg("mode") = 0600,
           py::arg("writable") = true, py::arg("auto_unlink") = false);
  type.def_property_readonly("name", &Tensor::name);
  type.def_property_readonly("dtype", [](const Tensor& tensor) { return dtype_json(tensor.dtype()); });
  type.def_property_readonly("shape", [](const Tensor& tensor) {
    return py::tuple(py::cast(std::vector<std::int64_t>(tensor.shape().begin(), tensor.shape().end())));
  });
  type.def_property_readonly("nbytes", &Tensor::nbytes);
  type.def_property_readonly("owner", &Tensor::owner);
  type.def_property_readonly("writable", &Tensor::writable);
  type.def_property_readonly("closed", &Tensor::closed);
  type.def("memory", [](const Tensor& tensor) {
    return std::make_unique<TensorMemory>(TensorMemory{tensor.bytes(), tensor.writable(), tensor.memory()});
  });
  type.def("lock", &lock_within<&Tensor::lock>, py::arg("timeout") = py::none());
  type.def("lock_shared", &lock_within<&Tensor::lock_shared>, py::arg("timeout") = py::none());
  type.def("unlock", &Tensor::unlock);
  type.def("unlock_shared", &Tensor::unlock_shared);
  type.def("close", &Tensor::close, py::call_guard<GilReleased>());
  type.def("unlink", &Tensor::unlink, py::call_guard<GilReleased>());
  module.def(
      "unlink_tensor", [](const py::str& name) { return unlink_tensor(to_name(name)); }, py::arg("name"));
  module.def("list_tensors", &list_tensors);
}

}  // namespace shmlane::bindings
