// SPDX-License-Identifier: Apache-2.0
// Producer: objects and frames from Python into the ring.
#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "arguments.hpp"
#include "bind.hpp"
#include "errors.hpp"
#include "parts.hpp"
#include "plain.hpp"
#include "reservation.hpp"

namespace shmlane::bindings {
namespace {

constexpr std::size_t kBatch = 1024;  // objects that are described at a time: what did not fit is described again

// Remembers what to do when the ring is full, which decides between Full and a dropped object.
class BoundProducer : public Producer {
 public:
  BoundProducer(std::string_view name, const ProducerOptions& options)
      : Producer(name, options), policy_(options.policy) {}
  [[nodiscard]] Policy policy() const noexcept { return policy_; }

 private:
  Policy policy_;
};

[[noreturn]] void throw_full(const Producer& producer, const Timeout& timeout) {
  throw Full("no room" + describe_wait(timeout) + ": " + producer.why_full());
}

// Under the interpreter's lock, if the copy is short and nothing is in the way: letting the lock go costs more than such
// a push.
PushResult push_frame(Producer& producer, const Producer::Outgoing& frame, const Timeout& timeout) {
  const bool brief = frame.payload_size <= kCopyUnderGil;
  if (brief && producer.push_at_once(frame)) return PushResult::kPushed;
  const GilReleased released(!brief || timeout != no_wait);
  return producer.push_frame(frame.metadata, frame.payload_size, timeout, frame.source, frame.write);
}

PyObject* push_plain(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* keywords) {
  return guarded([&] {
    static constexpr std::array kNames = {"obj", "timeout"};
    std::array<PyObject*, 2> slots = {nullptr, Py_None};
    Call{arguments, count, keywords}.unpack("push_plain", kNames, slots, 1);
    auto& producer = instance_of<BoundProducer>(self);
    const Timeout timeout = to_timeout(slots[1]);
    PlainFrame frame;
    if (!frame.describe(slots[0])) return py::bool_(false).release().ptr();
    // The caller may drop its last reference while this thread runs without the lock.
    const auto keep = py::reinterpret_borrow<py::object>(slots[0]);
    const Producer::Outgoing outgoing = frame.outgoing();
    if (push_frame(producer, outgoing, timeout) == PushResult::kFull) throw_full(producer, timeout);
    return py::bool_(true).release().ptr();
  });
}

// First without waiting, under the interpreter's lock, if there is little to copy.
std::size_t push_frames(Producer& producer, const std::vector<Producer::Outgoing>& frames, const Timeout& timeout) {
  constexpr std::uint64_t kLittle = 16 * 1024;
  std::uint64_t size = 0;
  for (const auto& frame : frames) size += frame.payload_size;
  if (size <= kLittle) {
    try {
      const std::size_t pushed = producer.push_frames(frames, no_wait);
      if (pushed != 0 || timeout == no_wait) return pushed;
    } catch (const NoConsumers&) {
      if (timeout == no_wait) throw;
    }
  }
  const GilReleased released;
  return producer.push_frames(frames, timeout);
}

std::size_t push_plain_many(BoundProducer& producer, const py::object& objects, const py::object& seconds) {
  const Timeout timeout = to_timeout(seconds);
  // A tuple of our own keeps the objects while this thread runs without the lock.
  const auto items = py::reinterpret_steal<py::tuple>(PySequence_Tuple(objects.ptr()));
  if (!items) throw py::error_already_set();
  std::vector<PlainFrame> frames(std::min(items.size(), kBatch));
  std::vector<Producer::Outgoing> outgoing;
  outgoing.reserve(frames.size());
  for (std::size_t i = 0; i < frames.size(); ++i) {
    PlainFrame& frame = frames[i];
    if (!frame.describe(PyTuple_GET_ITEM(items.ptr(), static_cast<Py_ssize_t>(i)))) break;
    outgoing.push_back(frame.outgoing());
  }
  if (outgoing.empty()) return 0;
  const std::size_t pushed = push_frames(producer, outgoing, timeout);
  if (pushed == 0) throw_full(producer, timeout);
  return pushed;
}

void push(BoundProducer& producer, const py::bytes& metadata, const py::object& buffers, const py::object& seconds) {
  const Timeout timeout = to_timeout(seconds);
  const Parts parts(buffers);
  const auto write = [](const void* source, std::span<std::byte> out) {
    static_cast<const Parts*>(source)->write(out);
  };
  const PushResult result = push_frame(producer, {view_of(metadata), parts.size(), &parts, write}, timeout);
  if (result == PushResult::kFull) throw_full(producer, timeout);
}

std::unique_ptr<HeldReservation> reserve(BoundProducer& producer, const py::bytes& metadata, const py::object& nbytes,
                                         const py::object& seconds) {
  const Timeout timeout = to_timeout(seconds);
  const std::uint64_t size = to_unsigned(nbytes, "nbytes");
  auto reservation = [&] {
    const GilReleased released;
    return producer.reserve(view_of(metadata), size, timeout);
  }();
  if (reservation) return std::make_unique<HeldReservation>(std::move(*reservation), std::string(view_of(metadata)));
  if (producer.policy() == Policy::kBlock) throw_full(producer, timeout);
  return nullptr;
}

std::unique_ptr<BoundProducer> make_producer(const py::str& name, const py::object& capacity, const std::string& policy,
                                             const py::object& wait_for_consumer, const py::object& max_objects,
                                             const std::string& stale, const py::object& mode, bool unlink) {
  ProducerOptions options;
  set_queue_options(options, capacity, stale, mode, unlink);
  options.policy = to_choice<Policy>(
      policy, "policy",
      {{"block", Policy::kBlock}, {"drop_oldest", Policy::kDropOldest}, {"drop_newest", Policy::kDropNewest}});
  options.wait_for_consumer = to_timeout(wait_for_consumer);
  options.max_objects = to_unsigned(max_objects, "max_objects");
  const std::string text = to_name(name);
  const GilReleased released;
  return std::make_unique<BoundProducer>(text, options);
}

}  // namespace

void bind_producer(py::module_& module) {
  static PyMethodDef raw_methods[] = {
      raw_method("push_plain", &push_plain,
                 "push_plain($self, obj, timeout=None)\n--\n\n"
                 "Push exact bytes, str or a plain ndarray; False, and nothing done, for any other object."),
      {nullptr, nullptr, 0, nullptr}};
  py::class_<BoundProducer> type(
      module, "Producer", py::is_final(), py::release_gil_before_calling_cpp_dtor(),
      py::custom_type_setup([](PyHeapTypeObject* heap_type) { add_raw_methods(heap_type, raw_methods); }),
      "The writing end of a queue of frames.");
  type.def(py::init(&make_producer), py::arg("name"), py::kw_only(), py::arg("capacity") = py::none(),
           py::arg("policy") = "block", py::arg("wait_for_consumer") = 60.0, py::arg("max_objects") = 0,
           py::arg("stale") = "auto", py::arg("mode") = 0600, py::arg("unlink") = true);
  bind_handle(type);
  type.def("push_plain_many", &push_plain_many, py::arg("objs"), py::arg("timeout") = py::none(),
           "Push a leading run of plain objects under one lock; how many went, 0 if the first is not plain.");
  type.def("push", &push, py::arg("metadata"), py::arg("parts"), py::arg("timeout") = py::none(),
           "Push one frame whose payload is the concatenation of contiguous buffers.");
  type.def("reserve", &reserve, py::arg("metadata"), py::arg("nbytes"), py::arg("timeout") = py::none(),
           "Room for a frame; None if the policy dropped the object.");
}

}  // namespace shmlane::bindings
