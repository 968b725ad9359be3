// SPDX-License-Identifier: Apache-2.0
// Stream: values of arrays from Python into shared memory and back.
#include "stream.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "arguments.hpp"
#include "array_options.hpp"
#include "bind.hpp"
#include "buffer.hpp"
#include "errors.hpp"
#include "plain_array.hpp"

namespace shmlane::bindings {

bool BoundStream::is_plain(PyObject* object) const {
  if (dtype_ == nullptr || !is_exact_array(object)) return false;
  const auto array = py::reinterpret_borrow<py::array>(object);
  if ((array.flags() & py::array::c_style) == 0) return false;
  if (array.ndim() != static_cast<py::ssize_t>(lengths_.size())) return false;
  if (!std::equal(lengths_.begin(), lengths_.end(), array.shape())) return false;
  PyObject* const theirs = py::detail::array_proxy(object)->descr;
  return theirs == dtype_ || py::detail::npy_api::get().PyArray_EquivTypes_(theirs, dtype_);
}

py::array BoundStream::make_array() const {
  auto& numpy = py::detail::npy_api::get();
  PyObject* const array =
      numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, py::handle(dtype_).inc_ref().ptr(),
                                  static_cast<int>(lengths_.size()), lengths_.data(), nullptr, nullptr, 0, nullptr);
  if (array == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::array>(array);
}

namespace {

// Copies of streams are of a size that lets others wait: letting the lock go costs as much as copying some ten KiB.
constexpr std::uint64_t kStreamUnderGil = 128 * 1024;

[[noreturn]] void throw_locked_out(const Stream& stream, const Timeout& timeout) {
  throw TimedOut("stream '" + stream.name() + "': its lock was not to be had" + describe_wait(timeout) +
                 "; somebody else holds it");
}

PyObject* stream_read(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* keywords) {
  return guarded([&]() -> PyObject* {
    static constexpr std::array kNames = {"out"};
    std::array<PyObject*, 1> slots = {Py_None};
    Call{arguments, count, keywords}.unpack("read", kNames, slots, 0);
    auto& stream = instance_of<BoundStream>(self);
    if (slots[0] != Py_None && !stream.is_plain(slots[0])) return py::bool_(false).release().ptr();
    py::array out = slots[0] == Py_None ? stream.make_array() : py::reinterpret_borrow<py::array>(slots[0]);
    if (!out.writeable()) throw InvalidArgument("the array to read into is read-only");
    auto* const start = static_cast<std::byte*>(out.mutable_data());
    {
      const GilReleased released(stream.size() > kStreamUnderGil);
      stream.read(std::span(start, stream.size()));
    }
    return out.release().ptr();
  });
}

// Under the interpreter's lock where that is quick; else, or if somebody else has the stream's lock, without.
template <class Write>
void write_or_wait(BoundStream& stream, const Timeout& timeout, Write&& write) {
  if (stream.size() <= kStreamUnderGil && write(Timeout(no_wait))) return;
  if (timeout == no_wait && stream.size() <= kStreamUnderGil) throw_locked_out(stream, timeout);
  const bool written = [&] {
    const GilReleased released;
    return write(timeout).has_value();
  }();
  if (!written) throw_locked_out(stream, timeout);
}

PyObject* stream_write(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* keywords) {
  return guarded([&]() -> PyObject* {
    static constexpr std::array kNames = {"value", "timeout"};
    std::array<PyObject*, 2> slots = {nullptr, Py_None};
    Call{arguments, count, keywords}.unpack("write", kNames, slots, 1);
    auto& stream = instance_of<BoundStream>(self);
    const Timeout timeout = to_timeout(slots[1]);
    if (!stream.is_plain(slots[0])) return py::bool_(false).release().ptr();
    // The caller may drop its last reference while this thread runs without the lock.
    const auto value = py::reinterpret_borrow<py::array>(slots[0]);
    const std::span bytes(static_cast<const std::byte*>(value.data()), stream.size());
    write_or_wait(stream, timeout, [&](const Timeout& limit) { return stream.write(bytes, limit); });
    return py::bool_(true).release().ptr();
  });
}

// A write view as Python holds it: its memory stays mapped for as long as an array of it may be used.
class HeldView {
 public:
  HeldView(WriteView view, std::shared_ptr<const void> memory) : view_(std::move(view)), memory_(std::move(memory)) {}
  [[nodiscard]] std::span<std::byte> bytes() const { return view_.bytes(); }
  std::uint64_t commit() { return view_.commit(); }
  void abort() noexcept { view_.abort(); }

 private:
  WriteView view_;
  std::shared_ptr<const void> memory_;
};

int view_buffer(PyObject* self, Py_buffer* view, int flags) {
  return give_buffer(self, view, flags, [self] { return instance_of<HeldView>(self).bytes(); });
}

// The newest value in place, read-only.
struct LiveView {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> memory;
};

int live_buffer(PyObject* self, Py_buffer* view, int flags) {
  return give_buffer(self, view, flags, [self] { return instance_of<LiveView>(self).bytes; });
}

std::unique_ptr<HeldView> make_view(BoundStream& stream, bool keep, const py::object& seconds) {
  const Timeout timeout = to_timeout(seconds);
  auto view = [&] {
    const GilReleased released;
    return stream.write_view(keep, timeout);
  }();
  if (!view) throw_locked_out(stream, timeout);
  return std::make_unique<HeldView>(std::move(*view), stream.memory());
}

py::dict stream_stat(const BoundStream& stream) {
  constexpr double kNanoseconds = 1e9;
  const StreamStat stat = stream.stat();
  py::dict dict;
  dict["count"] = stat.count;
  dict["write_sequence"] = stat.write_sequence;
  dict["write_time"] = static_cast<double>(stat.write_time_ns) / kNanoseconds;
  dict["writer_pid"] = stat.writer_pid;
  dict["writer_alive"] = stat.writer_alive;
  dict["age"] = static_cast<double>(stat.age_ns) / kNanoseconds;
  return dict;
}

std::unique_ptr<BoundStream> make_stream(const py::str& name, const py::object& dtype, const py::object& shape,
                                         const py::object& slots, const py::object& mode, bool auto_unlink,
                                         const py::object& spin) {
  StreamOptions options;
  options.mode = to_mode(mode);
  options.slots = static_cast<unsigned>(std::min<std::uint64_t>(to_unsigned(slots, "slots"), ~0U));
  options.auto_unlink = auto_unlink;
  options.interrupt_check = &interrupt_check;
  if (!spin.is_none()) options.spin = to_timeout(spin).value_or(std::chrono::hours(1));
  const std::string text = to_name(name);
  const std::optional<AskedArray> asked = to_array(dtype, shape);
  const GilReleased released;
  return std::make_unique<BoundStream>(asked ? Stream::create(text, asked->dtype, asked->shape, options)
                                             : Stream::open(text, options));
}

py::list wait_any_of(const std::vector<BoundStream*>& streams, const py::object& seconds) {
  const Timeout timeout = to_timeout(seconds);
  const std::vector<Stream*> all(streams.begin(), streams.end());
  const auto found = [&] {
    const GilReleased released;
    return wait_any(all, timeout);
  }();
  return py::cast(found);
}

void bind_facts(py::class_<BoundStream>& type) {
  type.def_property_readonly("name", &BoundStream::name);
  type.def_property_readonly("dtype", [](const BoundStream& stream) { return dtype_json(stream.dtype()); });
  type.def_property_readonly("shape", [](const BoundStream& stream) { return py::tuple(py::cast(stream.lengths())); });
  type.def_property_readonly("nbytes", &BoundStream::nbytes);
  type.def_property_readonly("slots", &BoundStream::slots);
  type.def_property_readonly("owner", &BoundStream::owner);
  type.def_property_readonly("closed", &BoundStream::closed);
  type.def_property_readonly("count", &BoundStream::count);
  type.def_property_readonly("missed", &BoundStream::missed);
  type.def_property_readonly("last_read", &BoundStream::last_read);
  type.def("stat", &stream_stat);
  type.def_property_readonly("participant", &BoundStream::participant);
  type.def("is_alive", &BoundStream::is_alive, py::arg("participant"));
}

void bind_views(py::module_& module) {
  py::class_<HeldView>(module, "WriteView", py::is_final(), with_buffer<view_buffer>(),
                       "The next value of a stream, to be filled in place.")
      .def("commit", &HeldView::commit)
      .def("abort", &HeldView::abort);
  py::class_<LiveView>(module, "LiveView", py::is_final(), with_buffer<live_buffer>(),
                       "The newest value of a stream where it lies.");
}

}  // namespace

void bind_stream(py::module_& module) {
  static PyMethodDef raw_methods[] = {
      raw_method("read", &stream_read,
                 "read($self, out=None)\n--\n\n"
                 "The newest value in a new array, or in `out`; False if that is no plain array of this kind."),
      raw_method("write", &stream_write,
                 "write($self, value, timeout=None)\n--\n\n"
                 "Replace the value; False, and nothing done, if it is no plain array of this kind."),
      {nullptr, nullptr, 0, nullptr}};
  bind_views(module);
  py::class_<BoundStream> type(
      module, "Stream", py::is_final(), py::release_gil_before_calling_cpp_dtor(),
      py::custom_type_setup([](PyHeapTypeObject* heap_type) { add_raw_methods(heap_type, raw_methods); }),
      "The latest value of one array.");
  type.def(py::init(&make_stream), py::arg("name"), py::kw_only(), py::arg("dtype") = py::none(),
           py::arg("shape") = py::none(), py::arg("slots") = 0, py::arg("mode") = 0600, py::arg("auto_unlink") = false,
           py::arg("spin") = py::none());
  bind_facts(type);
  type.def("set_dtype", &BoundStream::set_dtype, py::keep_alive<1, 2>(), "The dtype of NumPy that values have.");
  type.def(
      "wait_after",
      [](BoundStream& stream, const py::object& count, const py::object& seconds) {
        const Timeout timeout = to_timeout(seconds);
        const std::uint64_t after = to_unsigned(count, "count");
        if (stream.count() > after) return true;
        const GilReleased released;
        return stream.wait_after(after, timeout);
      },
      py::arg("count"), py::arg("timeout") = py::none());
  type.def("cancel_wait", &BoundStream::cancel_wait);
  type.def("write_view", &make_view, py::arg("keep") = false, py::arg("timeout") = py::none());
  type.def(
      "clear",
      [](BoundStream& stream, const py::object& seconds) {
        write_or_wait(stream, to_timeout(seconds), [&](const Timeout& limit) { return stream.clear(limit); });
      },
      py::arg("timeout") = py::none());
  type.def("live", [](const BoundStream& stream) {
    return std::make_unique<LiveView>(LiveView{stream.live().bytes(), stream.memory()});
  });
  type.def(
      "acquire",
      [](BoundStream& stream, const py::object& seconds) {
        const Timeout timeout = to_timeout(seconds);
        const GilReleased released;
        return stream.acquire(timeout);
      },
      py::arg("timeout") = py::none());
  type.def("release", &BoundStream::release);
  type.def_property_readonly("locked_here", &BoundStream::locked_here);
  type.def("close", &BoundStream::close, py::call_guard<GilReleased>());
  type.def("unlink", &BoundStream::unlink, py::call_guard<GilReleased>());
  module.def("wait_any", &wait_any_of, py::arg("streams"), py::arg("timeout") = py::none());
  module.def(
      "unlink_stream", [](const py::str& name) { return unlink_stream(to_name(name)); }, py::arg("name"));
  module.def("list_streams", &list_streams);
}

}  // namespace shmlane::bindings
