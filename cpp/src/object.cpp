// SPDX-License-Identifier: Apache-2.0
// Memory of received objects, and their metadata parsed on first use.
#include "shmlane/object.hpp"

#include <cstring>
#include <memory>

#include "shmlane/error.hpp"

namespace shmlane {

const Metadata& Received::metadata() const {
  const FrameView& frame = view();
  if (!metadata_) metadata_ = parse_metadata(frame.metadata);
  return *metadata_;
}

void Received::throw_empty() {
  throw Closed("this object or lease is empty: it was released, or moved to another place");
}

Object::Object(FrameView frame, unsigned attempt) {
  *this = allocate(frame.metadata, frame.payload.size(), attempt);
  // memcpy may not be given the null pointer of an empty span.
  if (!frame.payload.empty()) std::memcpy(writable_payload().data(), frame.payload.data(), frame.payload.size());
}

Object Object::allocate(std::string_view metadata, std::uint64_t payload_size, unsigned attempt) {
  Object object = uninitialised(metadata.size(), payload_size, attempt);
  if (!metadata.empty()) std::memcpy(object.memory_.get(), metadata.data(), metadata.size());
  return object;
}

// The metadata stands first, the payload at the next multiple of 64. Nothing is zeroed: pages that are never filled are
// never touched. The allocator is not asked for aligned memory, which costs it ten times as many instructions.
Object Object::uninitialised(std::uint64_t metadata_size, std::uint64_t payload_size, unsigned attempt) {
  static_cast<void>(frame_extents(metadata_size, payload_size));  // throws for what no memory holds
  auto memory = std::make_unique_for_overwrite<std::byte[]>(metadata_size + wire::kAlignment - 1 + payload_size);
  std::byte* const start = memory.get();
  const auto address = reinterpret_cast<std::uintptr_t>(start);
  std::byte* const payload = start + (wire::align_up(address + metadata_size) - address);
  const FrameView frame{{reinterpret_cast<const char*>(start), metadata_size}, {payload, payload_size}};
  return Object(std::move(memory), frame, attempt);
}

std::span<std::byte> Object::writable_payload() noexcept {
  if (!valid()) return {};
  const auto payload = view().payload;
  return {const_cast<std::byte*>(payload.data()), payload.size()};
}

}  // namespace shmlane
