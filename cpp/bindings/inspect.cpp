// SPDX-License-Identifier: Apache-2.0
// Looking at segments from outside, as dicts.
#include "shmlane/inspect.hpp"

#include <pybind11/stl.h>

#include "bind.hpp"

namespace shmlane::bindings {
namespace {

constexpr double kNanosecondsPerSecond = 1e9;

const char* kind_name(wire::Kind kind) {
  switch (kind) {
    case wire::Kind::kQueue:
      return "queue";
    case wire::Kind::kStream:
      return "stream";
    case wire::Kind::kTensor:
      return "tensor";
  }
  return "unknown";
}

const char* state_name(wire::SegmentState state) {
  switch (state) {
    case wire::SegmentState::kEmpty:
      return "empty";
    case wire::SegmentState::kHeader:
      return "header";
    case wire::SegmentState::kReady:
      return "ready";
    case wire::SegmentState::kRemoved:
      return "removed";
  }
  return "unknown";
}

// A name that another process wrote, which need not be UTF-8.
py::object printable(const std::string& text) {
  auto result = py::reinterpret_steal<py::object>(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace"));
  if (!result) throw py::error_already_set();
  return result;
}

py::dict to_dict(const HeldFrame& hold) {
  py::dict dict;
  dict["state"] = hold.state == wire::FrameState::kLeased ? "leased" : "reserved";
  dict["position"] = hold.position;
  dict["nbytes"] = hold.payload_size;
  return dict;
}

py::dict to_dict(const ParticipantInfo& participant) {
  py::dict dict;
  dict["id"] = participant.id;
  dict["index"] = participant.index;
  dict["pid"] = participant.pid;
  dict["process"] = printable(participant.process_name);
  py::list roles;
  if (participant.producer) roles.append("producer");
  if (participant.consumer) roles.append("consumer");
  dict["roles"] = roles;
  dict["alive"] = participant.alive;
  py::list locks;
  if (participant.producers_lock) locks.append("producers");
  if (participant.consumers_lock) locks.append("consumers");
  if (participant.write_lock) locks.append("write");
  if (participant.read_lock) locks.append("read");
  dict["locks"] = locks;
  dict["at_tail"] = participant.at_tail;
  dict["counters"] = bindings::to_dict(participant.counters);
  dict["attached"] = static_cast<double>(participant.attached_ns) / kNanosecondsPerSecond;
  py::list holds;
  for (const HeldFrame& hold : participant.holds) holds.append(to_dict(hold));
  dict["holds"] = holds;
  return dict;
}

// "dtype" as metadata has it.
void add_array(py::dict& dict, const ArrayInfo& array) {
  dict["dtype"] = py::module_::import("json").attr("loads")(printable(array.dtype));
  dict["shape"] = py::tuple(py::cast(array.shape));
  dict["nbytes"] = array.nbytes;
  dict["slots"] = array.slots;
  dict["count"] = array.count;
  dict["write_time"] = static_cast<double>(array.write_time_ns) / kNanosecondsPerSecond;
  dict["writer"] = array.writer;
}

py::dict to_dict(const SegmentInfo& segment) {
  py::dict dict = bindings::to_dict(segment.stat);
  dict["name"] = printable(segment.name);
  dict["kind"] = kind_name(segment.kind);
  dict["version"] = segment.version;
  dict["segment_id"] = segment.segment_id;
  dict["state"] = state_name(segment.state);
  dict["objects"] = segment.objects;
  dict["created"] = static_cast<double>(segment.created_ns) / kNanosecondsPerSecond;
  dict["mode"] = segment.mode;
  dict["size"] = segment.file_size;
  dict["full_fence"] = segment.full_fence;
  dict["locked"] = segment.locked;
  dict["items_waiters"] = segment.items_waiters;
  dict["space_waiters"] = segment.space_waiters;
  if (segment.array) add_array(dict, *segment.array);
  py::list participants;
  for (const ParticipantInfo& participant : segment.participants) participants.append(to_dict(participant));
  dict["participants"] = participants;
  return dict;
}

SegmentInfo inspect(const std::string& name) {
  const GilReleased released;
  return inspect_segment(name);
}

// What may not be read, went away meanwhile or is of others is not listed.
py::list list_all() {
  py::list segments;
  for (const std::string& name : list_segments()) {
    try {
      segments.append(to_dict(inspect(name)));
    } catch (const Error&) {
      continue;
    }
  }
  return segments;
}

}  // namespace

void bind_inspect(py::module_& module) {
  module.def("list_segments", &list_all, "One dict per segment in /dev/shm that may be read.");
  module.def(
      "inspect_segment", [](const py::str& name) { return to_dict(inspect(to_name(name))); }, py::arg("name"),
      "Facts about one segment, without attaching or locking.");
  module.def(
      "remove_segment",
      [](const py::str& name, bool force) {
        const std::string text = to_name(name);
        const GilReleased released;
        return remove_segment(text, force);
      },
      py::arg("name"), py::arg("force") = false,
      "Remove a segment and its semaphores; False if somebody lives in it and not force.");
  module.def(
      "remove_remains",
      [](const py::str& name, bool force) {
        const std::string text = to_name(name);
        const GilReleased released;
        return remove_remains(text, force);
      },
      py::arg("name"), py::arg("force") = false,
      "Remove what is left of a segment in which nobody lives; False if it is none, or has objects and not force.");
  module.def(
      "reap_segment",
      [](const py::str& name) {
        const std::string text = to_name(name);
        const GilReleased released;
        return reap_segment(text);
      },
      py::arg("name"), "Settle what dead participants held; returns how many.");
  module.def("has_membarrier", &has_membarrier, "Whether this kernel lets this process use membarrier(2).");
}

}  // namespace shmlane::bindings
