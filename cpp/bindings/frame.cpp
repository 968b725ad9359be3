// SPDX-License-Identifier: Apache-2.0
// One frame as bytes, parsed and made: what the vectors of the wire format are checked with.
#include "shmlane/frame.hpp"

#include <cstring>
#include <memory>
#include <new>

#include "bind.hpp"
#include "parts.hpp"

namespace shmlane::bindings {
namespace {

// Memory as aligned as the ring's.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::size_t size)
      : memory_(static_cast<std::byte*>(::operator new (size + 1, std::align_val_t{wire::kAlignment}))) {}
  [[nodiscard]] std::byte* data() const noexcept { return memory_.get(); }

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept {
      ::operator delete (memory, std::align_val_t{wire::kAlignment});
    }
  };
  std::unique_ptr<std::byte, Free> memory_;
};

py::bytes to_bytes(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

py::tuple parse(const py::object& frame, std::uint64_t segment_id, std::uint64_t position) {
  const Part part(frame);
  const auto bytes = part.bytes();
  const AlignedBytes copy(bytes.size());
  if (!bytes.empty()) std::memcpy(copy.data(), bytes.data(), bytes.size());
  const FrameView view = parse_frame(copy.data(), bytes.size(), segment_id, position);
  return py::make_tuple(py::bytes(view.metadata), to_bytes(view.payload));
}

py::bytes make(const py::bytes& metadata, const py::object& payload, std::uint64_t segment_id, std::uint64_t position) {
  const Part part(payload);
  const auto bytes = part.bytes();
  const FrameExtents extents = frame_extents(view_of(metadata).size(), bytes.size());
  const AlignedBytes frame(extents.extent);
  std::memset(frame.data(), 0, extents.extent);
  open_frame(frame.data(), segment_id, position, extents.extent);
  write_frame(frame.data(), extents, view_of(metadata));
  if (!bytes.empty()) std::memcpy(frame.data() + extents.payload_offset, bytes.data(), bytes.size());
  // W-20: the state is the lowest byte of the control word; attempt and owner stay zero.
  frame.data()[0] = static_cast<std::byte>(wire::FrameState::kReady);
  return to_bytes({frame.data(), extents.extent});
}

}  // namespace

void bind_frame(py::module_& module) {
  module.def("parse_frame", &parse, py::arg("frame"), py::arg("segment_id"), py::arg("position"),
             "Metadata and payload of one ring frame given as bytes, checked as a consumer checks it.");
  module.def("make_frame", &make, py::arg("metadata"), py::arg("payload"), py::arg("segment_id"), py::arg("position"),
             "The bytes of a READY ring frame, owner 0, as a producer leaves it at position.");
}

}  // namespace shmlane::bindings
