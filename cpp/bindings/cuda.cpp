// SPDX-License-Identifier: Apache-2.0
// Arrays of GPUs for Python: what shmlane.cuda stands on. Only in builds with SHMLANE_CUDA.
#include "shmlane/cuda_allocation.hpp"

#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "array_options.hpp"
#include "bind.hpp"
#include "dlpack.hpp"
#include "held_object.hpp"
#include "reservation.hpp"

namespace shmlane::bindings {
namespace {

using cuda::DeviceArray;
using cuda::DeviceView;
using cuda::Exporter;
using cuda::Importer;
using cuda::SharedAllocation;
using cuda::Slot;
using cuda::Stream;

// A CUDA stream's number, as libraries give it; nothing for None.
std::optional<Stream> to_stream(const py::object& number) {
  if (number.is_none()) return std::nullopt;
  return reinterpret_cast<Stream>(static_cast<std::uintptr_t>(to_unsigned(number, "stream")));
}

py::tuple to_tuple(const Dims& dims) {
  return py::tuple(py::cast(std::vector<std::int64_t>(dims.begin(), dims.end())));
}

Dims to_dims(const std::vector<std::int64_t>& numbers) { return Dims(std::span(numbers)); }

Json metadata_json(const py::bytes& text) {
  return parse_metadata(view_of(text))->json;  // throws Corrupt
}

// A buffer of Python as bytes, for a scope.
class BufferBytes {
 public:
  BufferBytes(const py::object& object, bool writable) {
    if (PyObject_GetBuffer(object.ptr(), &view_, writable ? PyBUF_CONTIG : PyBUF_CONTIG_RO) != 0) {
      throw py::error_already_set();
    }
  }
  BufferBytes(const BufferBytes&) = delete;
  BufferBytes& operator=(const BufferBytes&) = delete;
  ~BufferBytes() { PyBuffer_Release(&view_); }
  [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(view_.buf); }
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(view_.len); }

 private:
  Py_buffer view_{};
};

std::unique_ptr<DeviceArray> view_of_memory(std::uintptr_t data, const py::object& dtype, const py::object& shape,
                                            const std::optional<std::vector<std::int64_t>>& strides, int device,
                                            const py::object& keep) {
  const std::optional<AskedArray> asked = to_array(dtype, shape);
  DeviceView view = DeviceView::contiguous(asked.value().dtype, asked->shape, data, device);
  if (strides) view.strides = to_dims(*strides);
  if (view.strides.size() != view.shape.size()) throw InvalidArgument("an array needs one stride per dimension");
  if (device < 0) view.device = view.nbytes() == 0 ? 0 : cuda::device_of(data);
  return std::make_unique<DeviceArray>(cuda::borrow(std::move(view), hold(keep)));
}

void bind_array(py::module_& module) {
  py::class_<DeviceArray> type(module, "CudaArray", py::is_final(), py::release_gil_before_calling_cpp_dtor(),
                               "An array in a GPU's memory.");
  type.def_static(
      "empty",
      [](const py::object& dtype, const py::object& shape, int device) {
        const std::optional<AskedArray> asked = to_array(dtype, shape);
        const GilReleased released;
        return std::make_unique<DeviceArray>(DeviceArray::allocate(asked.value().dtype, asked->shape, device));
      },
      py::arg("dtype"), py::arg("shape"), py::arg("device") = 0);
  type.def_static("view", &view_of_memory, py::arg("data"), py::arg("dtype"), py::arg("shape"), py::arg("strides"),
                  py::arg("device"), py::arg("keep"));
  type.def_static(
      "from_dlpack", [](const py::object& capsule) { return std::make_unique<DeviceArray>(from_dlpack(capsule)); },
      py::arg("capsule"));
  type.def_property_readonly("data", [](const DeviceArray& array) { return array.data; });
  type.def_property_readonly("shape", [](const DeviceArray& array) { return to_tuple(array.shape); });
  type.def_property_readonly("strides", [](const DeviceArray& array) { return to_tuple(array.strides); });
  type.def_property_readonly("contiguous", &DeviceArray::is_c_contiguous);
  type.def_property_readonly("dtype", [](const DeviceArray& array) { return dtype_json(array.dtype); });
  type.def_property_readonly("nbytes", &DeviceArray::nbytes);
  type.def_property_readonly("device", [](const DeviceArray& array) { return array.device; });
  type.def(
      "used_on", [](const DeviceArray& array, const py::object& stream) { array.used_on(to_stream(stream).value()); },
      py::arg("stream"));
  type.def(
      "copy_to_host",
      [](const DeviceArray& array, const py::object& buffer) {
        const BufferBytes bytes(buffer, true);
        if (bytes.size() != array.nbytes()) throw InvalidArgument("a buffer of another size than the array");
        const GilReleased released;
        array.copy_to_host(bytes.data());
      },
      py::arg("out"));
  type.def(
      "copy_from_host",
      [](const DeviceArray& array, const py::object& buffer) {
        const BufferBytes bytes(buffer, false);
        if (bytes.size() != array.nbytes()) throw InvalidArgument("a buffer of another size than the array");
        const GilReleased released;
        array.copy_from_host(bytes.data());
      },
      py::arg("source"));
  type.def(
      "copy_from",
      [](const DeviceArray& to, const DeviceArray& from, const py::object& stream) {
        const std::optional<Stream> on = to_stream(stream);
        const GilReleased released;
        cuda::copy(from, to, on);
      },
      py::arg("source"), py::arg("stream") = py::none());
  type.def("zero", [](const DeviceArray& array) {
    const GilReleased released;
    array.fill(std::byte{0});
  });
  type.def("dlpack", &to_dlpack, py::arg("versioned"), py::arg("read_only"));
}

void bind_export(py::module_& module) {
  py::class_<Slot> slot(module, "CudaSlot", py::is_final(), py::release_gil_before_calling_cpp_dtor(),
                        "Memory of an arena, for one array.");
  slot.def_property_readonly("data", &Slot::data);
  slot.def_property_readonly("device", &Slot::device);
  slot.def(
      "ready",
      [](Slot& self, const py::object& stream) {
        const std::optional<Stream> on = to_stream(stream);
        const GilReleased released;
        self.ready(on);
      },
      py::arg("stream") = py::none());
  slot.def(
      "metadata",
      [](const Slot& self, const py::object& dtype, const py::object& shape) {
        const std::optional<AskedArray> asked = to_array(dtype, shape);
        return py::bytes(self.metadata(asked.value().dtype, asked->shape).dump());
      },
      py::arg("dtype"), py::arg("shape"));
  slot.def("payload", [](const Slot& self) {
    const auto payload = self.payload();
    return py::bytes(reinterpret_cast<const char*>(payload.data()), payload.size());
  });
  slot.def(
      "send", [](Slot& self, const HeldReservation& frame) { self.send(frame.reservation()); }, py::arg("frame"));

  py::class_<Exporter> exporter(module, "CudaExporter", py::is_final(), py::release_gil_before_calling_cpp_dtor(),
                                "The exporting half of a producer.");
  // The bound class is a child of Producer of which only its own file knows more.
  exporter.def(
      py::init([type = py::object(module.attr("Producer"))](const py::object& producer, const py::object& capacity) {
        if (!py::isinstance(producer, type)) throw py::type_error("an exporter needs a Producer");
        auto& end = instance_of<Producer>(producer.ptr());
        return std::make_unique<Exporter>(end, cuda::ExporterOptions{to_unsigned(capacity, "capacity")});
      }),
      py::arg("producer"), py::arg("capacity") = 0, py::keep_alive<1, 2>());
  exporter.def(
      "reserve",
      [](Exporter& self, int device, const py::object& nbytes, const py::object& seconds) -> std::unique_ptr<Slot> {
        const Timeout timeout = to_timeout(seconds);
        const std::uint64_t size = to_unsigned(nbytes, "nbytes");
        const GilReleased released;
        std::optional<Slot> found = self.reserve(device, size, timeout);
        return found ? std::make_unique<Slot>(*std::move(found)) : nullptr;
      },
      py::arg("device"), py::arg("nbytes"), py::arg("timeout") = py::none());
  exporter.def(
      "wait_consumed",
      [](Exporter& self, const py::object& seconds) {
        const Timeout timeout = to_timeout(seconds);
        const GilReleased released;
        return self.wait_consumed(timeout);
      },
      py::arg("timeout") = py::none());
}

void bind_import(py::module_& module) {
  py::class_<Importer> importer(module, "CudaImporter", py::is_final(), py::release_gil_before_calling_cpp_dtor(),
                                "The importing half of a consumer.");
  importer.def(py::init([](py::object consumer) {
                 return std::make_unique<Importer>(consumer.cast<Consumer&>(), &interrupt_check);
               }),
               py::arg("consumer"), py::keep_alive<1, 2>());
  importer.def(
      "view",
      [](Importer& self, const py::bytes& metadata, const py::object& payload) {
        const Json json = metadata_json(metadata);
        const BufferBytes bytes(payload, false);
        std::shared_ptr<void> keep = hold(payload);
        const GilReleased released;
        return std::make_unique<DeviceArray>(self.view(json, {bytes.data(), bytes.size()}, std::move(keep)));
      },
      py::arg("metadata"), py::arg("payload"), "The array in place; it keeps the payload.");
  importer.def(
      "copy",
      [](Importer& self, const py::bytes& metadata, const py::object& payload) {
        const Json json = metadata_json(metadata);
        const BufferBytes bytes(payload, false);
        const GilReleased released;
        return std::make_unique<DeviceArray>(self.copy(json, {bytes.data(), bytes.size()}));
      },
      py::arg("metadata"), py::arg("payload"), "A copy of one's own, complete.");
}

void bind_allocation(py::module_& module) {
  py::class_<SharedAllocation> allocation(module, "CudaAllocation", py::is_final(),
                                          py::release_gil_before_calling_cpp_dtor(),
                                          "Memory of a GPU that other processes may open.");
  allocation.def_static(
      "create",
      [](int device, const py::object& nbytes, const py::str& purpose) {
        const std::uint64_t size = to_unsigned(nbytes, "nbytes");
        const std::string text = to_name(purpose);
        const GilReleased released;
        return std::make_unique<SharedAllocation>(SharedAllocation::create(device, size, text));
      },
      py::arg("device"), py::arg("nbytes"), py::arg("purpose"));
  allocation.def_static(
      "open",
      [](const py::bytes& metadata, const py::object& payload) {
        const Json json = metadata_json(metadata);
        const BufferBytes bytes(payload, false);
        const GilReleased released;
        return std::make_unique<SharedAllocation>(
            SharedAllocation::open(json, {bytes.data(), bytes.size()}, &interrupt_check));
      },
      py::arg("metadata"), py::arg("payload"));
  allocation.def_property_readonly("data", &SharedAllocation::data);
  allocation.def_property_readonly("nbytes", &SharedAllocation::nbytes);
  allocation.def_property_readonly("device", &SharedAllocation::device);
  allocation.def(
      "metadata",
      [](const SharedAllocation& self, const py::object& dtype, const py::object& shape, std::uint64_t offset,
         std::uint64_t exporter) {
        const std::optional<AskedArray> asked = to_array(dtype, shape);
        return py::bytes(self.metadata(asked.value().dtype, asked->shape, offset, exporter).dump());
      },
      py::arg("dtype"), py::arg("shape"), py::arg("offset"), py::arg("exporter"));
  allocation.def("payload", [](const SharedAllocation& self) {
    const auto payload = self.payload();
    return py::bytes(reinterpret_cast<const char*>(payload.data()), payload.size());
  });
}

}  // namespace

void bind_cuda(py::module_& module) {
  bind_array(module);
  bind_export(module);
  bind_import(module);
  bind_allocation(module);
  module.def("cuda_why_unavailable", &cuda::why_unavailable, "What is missing, or an empty text.");
  module.def("cuda_leave_queues", &cuda::leave_queues, py::call_guard<GilReleased>(),
             "At the end of the process: leave the queues of exporters that were closed with arrays in flight.");
  module.def("cuda_free_unused", &cuda::free_unused, py::call_guard<GilReleased>(),
             "Give exported memory that nobody in this process uses back to the driver.");
  module.def("cuda_devices", [] {
    py::list list;
    for (const cuda::DeviceInfo& device : cuda::devices()) list.append(py::make_tuple(device.name, device.uuid));
    return list;
  });
  module.def(
      "cuda_stream", [](int device) { return reinterpret_cast<std::uintptr_t>(cuda::own_stream(device)); },
      py::arg("device"), "The library's own CUDA stream.");
  module.def(
      "cuda_synchronise",
      [](int device, const py::object& stream) {
        const Stream on = to_stream(stream).value();
        const GilReleased released;
        cuda::synchronise(device, on);
      },
      py::arg("device"), py::arg("stream"), "Wait for what a CUDA stream was given by now.");
  module.def(
      "cuda_own_stream_waits",
      [](int device, const py::object& stream) { cuda::own_stream_waits_for(device, to_stream(stream).value()); },
      py::arg("device"), py::arg("stream"), "Let its later work wait for what another CUDA stream was given by now.");
}

}  // namespace shmlane::bindings
