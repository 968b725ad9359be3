// SPDX-License-Identifier: Apache-2.0
// StdioWriter and StdioReader: frames over a descriptor, for Python.
#include "shmlane/stdio.hpp"

#include <pybind11/stl.h>

#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "bind.hpp"
#include "buffer.hpp"
#include "parts.hpp"

namespace shmlane::bindings {
namespace {

// One end for the threads that share it: who writes or reads keeps the others out, not the interpreter.
template <class End>
struct Shared {
  template <class... Arguments>
  explicit Shared(Arguments... arguments) : end(arguments...) {}

  std::mutex mutex;
  End end;
};
using Reader = Shared<StdioConsumer>;

// When the collector finds it, its descriptor may be somebody else's already: only end() writes the end frame.
struct Writer : Shared<StdioProducer> {
  using Shared::Shared;
  ~Writer() { end.abandon(); }
};

void write(Writer& writer, const py::bytes& metadata, const py::object& buffers) {
  const Parts parts(buffers);
  const auto views = parts.views();
  const GilReleased released;
  const std::lock_guard guard(writer.mutex);
  if (views.size() == 1) {
    const auto* start = static_cast<const std::byte*>(views[0].buf);
    return writer.end.write({view_of(metadata), {start, static_cast<std::size_t>(views[0].len)}});
  }
  Object frame = Object::allocate(view_of(metadata), parts.size());
  parts.write(frame.writable_payload());
  writer.end.write({view_of(metadata), frame.payload()});
}

std::optional<std::pair<py::bytes, py::object>> read(Reader& reader) {
  Taken<Object> taken = [&] {
    const GilReleased released;
    const std::lock_guard guard(reader.mutex);
    return reader.end.pop();
  }();
  if (!taken) return std::nullopt;
  py::bytes metadata(taken->metadata_text());
  return std::pair(std::move(metadata), py::cast(*std::move(taken)));
}

int payload_buffer(PyObject* self, Py_buffer* view, int flags) {
  return give_buffer(self, view, flags, [self] { return instance_of<Object>(self).writable_payload(); });
}

void bind_writer(py::module_& module) {
  py::class_<Writer> type(module, "StdioWriter", py::is_final(), "Writes frames to a descriptor that it borrows.");
  type.def(py::init([](int fd) { return std::make_unique<Writer>(fd, &interrupt_check); }), py::arg("fd"));
  type.def("write", &write, py::arg("metadata"), py::arg("parts"),
           "Write one frame whose payload is the concatenation of contiguous buffers.");
  type.def(
      "end",
      [](Writer& writer) {
        const GilReleased released;
        const std::lock_guard guard(writer.mutex);
        writer.end.close();
      },
      "Write the end frame. Idempotent.");
}

void bind_reader(py::module_& module) {
  py::class_<Reader> type(module, "StdioReader", py::is_final(), "Reads frames from a descriptor that it borrows.");
  type.def(py::init([](int fd, const py::object& max_frame) {
             return std::make_unique<Reader>(fd, to_unsigned(max_frame, "max_frame"), &interrupt_check);
           }),
           py::arg("fd"), py::arg("max_frame"));
  type.def("read", &read, "Metadata and payload of the next frame; None at the end.");
  type.def_property_readonly(
      "offset", [](const Reader& reader) { return reader.end.offset(); }, "Bytes read so far.");
  py::class_<Object>(type, "Payload", py::is_final(), with_buffer<payload_buffer>(),
                     "Owned, writable, 64-byte aligned memory.");
}

}  // namespace

void bind_stdio(py::module_& module) {
  bind_writer(module);
  bind_reader(module);
}

}  // namespace shmlane::bindings
