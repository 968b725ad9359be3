// SPDX-License-Identifier: Apache-2.0
// Consumer: frames and objects from the ring to Python.
#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "arguments.hpp"
#include "bind.hpp"
#include "errors.hpp"
#include "plain.hpp"

namespace shmlane::bindings {
namespace {

constexpr std::size_t kBatch = 4096;  // frames that one call holds at most

[[noreturn]] void throw_empty(const Consumer& consumer, const Timeout& timeout) {
  throw Empty("nothing to take from the queue '" + consumer.name() + "'" + describe_wait(timeout));
}

// The next frame, or nothing at the end of stream. Tried under the interpreter's lock first: letting it go costs more
// than taking what is there.
std::optional<Lease> acquire(Consumer& consumer, const Timeout& timeout) {
  Taken<Lease> taken = consumer.acquire(no_wait);
  if (taken.empty() && timeout != no_wait) {
    const GilReleased released;
    taken = consumer.acquire(timeout);
  }
  if (taken.empty()) throw_empty(consumer, timeout);
  if (taken.ended()) return std::nullopt;
  return *std::move(taken);
}

// Takes one frame within `timeout` and gives convert(lease), or None at the end of stream.
template <class Convert>
PyObject* take_one(PyObject* self, PyObject* timeout, Convert&& convert) {
  std::optional<Lease> lease = acquire(instance_of<Consumer>(self), to_timeout(timeout));
  return lease ? convert(*std::move(lease)) : py::none().release().ptr();
}

// A method that does so.
template <class Convert>
PyObject* take(const char* method, PyObject* self, const Call& call, Convert&& convert) {
  return guarded([&] {
    static constexpr std::array kNames = {"timeout"};
    std::array<PyObject*, 1> slots = {Py_None};
    call.unpack(method, kNames, slots, 0);
    return take_one(self, slots[0], std::forward<Convert>(convert));
  });
}

PyObject* acquire_lease(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* keywords) {
  return take("acquire", self, {arguments, count, keywords}, &give_lease);
}

PyObject* acquire_as(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* keywords) {
  return guarded([&] {
    static constexpr std::array kNames = {"type", "context", "timeout"};
    std::array<PyObject*, 3> slots = {nullptr, nullptr, Py_None};
    Call{arguments, count, keywords}.unpack("acquire_as", kNames, slots, 2);
    return take_one(self, slots[2], [&](Lease&& lease) { return give_handle(slots[0], slots[1], std::move(lease)); });
  });
}

PyObject* pop_plain(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* keywords) {
  return take("pop_plain", self, {arguments, count, keywords}, [](Lease&& lease) {
    PyObject* const object = decode_plain({lease.metadata_text(), lease.payload()});
    return object != nullptr ? object : give_lease(std::move(lease));
  });
}

std::vector<Lease> acquire_many(Consumer& consumer, std::size_t max, const Timeout& timeout) {
  std::vector<Lease> leases = consumer.acquire_many(max, no_wait);
  if (leases.empty() && !consumer.ended() && timeout != no_wait) {
    const GilReleased released;
    leases = consumer.acquire_many(max, timeout);
  }
  if (leases.empty() && !consumer.ended()) throw_empty(consumer, timeout);
  return leases;
}

// As pop_plain, but a frame with bad contents comes as its lease: an error here would lose the others.
py::object decode_or_keep(Lease lease) {
  PyObject* object = nullptr;
  try {
    object = decode_plain({lease.metadata_text(), lease.payload()});
  } catch (const Corrupt&) {
    object = nullptr;
  }
  return py::reinterpret_steal<py::object>(object != nullptr ? object : give_lease(std::move(lease)));
}

py::list pop_plain_many(Consumer& consumer, const py::object& max, const py::object& seconds) {
  const Timeout timeout = to_timeout(seconds);
  const auto limit = static_cast<std::size_t>(std::min<std::uint64_t>(to_unsigned(max, "max"), kBatch));
  if (limit == 0) throw InvalidArgument("max is 0; give how many objects to take at most");
  std::vector<Lease> leases = acquire_many(consumer, limit, timeout);
  py::list objects;
  for (Lease& lease : leases) objects.append(decode_or_keep(std::move(lease)));
  return objects;
}

std::unique_ptr<Consumer> make_consumer(const py::str& name, const py::object& capacity, const std::string& on_death,
                                        const py::object& max_attempts, const std::string& stale,
                                        const py::object& mode, bool unlink) {
  ConsumerOptions options;
  set_queue_options(options, capacity, stale, mode, unlink);
  options.on_death = to_choice<wire::OnDeath>(
      on_death, "on_death", {{"redeliver", wire::OnDeath::kRedeliver}, {"drop", wire::OnDeath::kDrop}});
  constexpr std::uint64_t kMostAttempts = 255;
  const std::uint64_t attempts = to_unsigned(max_attempts, "max_attempts");
  if (attempts == 0 || attempts > kMostAttempts) throw InvalidArgument("max_attempts must be between 1 and 255");
  options.max_attempts = static_cast<unsigned>(attempts);
  const std::string text = to_name(name);
  const GilReleased released;
  return std::make_unique<Consumer>(text, options);
}

}  // namespace

void bind_consumer(py::module_& module) {
  static PyMethodDef raw_methods[] = {
      raw_method("acquire", &acquire_lease,
                 "acquire($self, timeout=None)\n--\n\nThe next frame in place; None at the end of stream."),
      raw_method("acquire_as", &acquire_as,
                 "acquire_as($self, type, context, timeout=None)\n--\n\n"
                 "The next frame in place, within an instance of that class; None at the end of stream."),
      raw_method("pop_plain", &pop_plain,
                 "pop_plain($self, timeout=None)\n--\n\n"
                 "The next object, copied out, if it is plain; else its Lease; None at the end of stream."),
      {nullptr, nullptr, 0, nullptr}};
  py::class_<Consumer> type(
      module, "Consumer", py::is_final(), py::release_gil_before_calling_cpp_dtor(),
      py::custom_type_setup([](PyHeapTypeObject* heap_type) { add_raw_methods(heap_type, raw_methods); }),
      "The reading end of a queue of frames.");
  type.def(py::init(&make_consumer), py::arg("name"), py::kw_only(), py::arg("capacity") = py::none(),
           py::arg("on_death") = "redeliver", py::arg("max_attempts") = 3, py::arg("stale") = "auto",
           py::arg("mode") = 0600, py::arg("unlink") = true);
  bind_handle(type);
  type.def("pop_plain_many", &pop_plain_many, py::arg("max"), py::arg("timeout") = py::none(),
           "Up to max of what pop_plain gives, as soon as there is one; [] at the end of stream.");
}

}  // namespace shmlane::bindings
