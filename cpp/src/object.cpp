// SPDX-License-Identifier: Apache-2.0
// Memory of received objects, and their metadata parsed on first use.
#include "shmlane/object.hpp"

#include <cstring>
#include <new>

#include "shmlane/error.hpp"

namespace shmlane {
namespace {

constexpr std::align_val_t kMemoryAlignment{wire::kAlignment};

}  // namespace

const Metadata& Received::metadata() const {
  const FrameView& frame = view();
  if (!metadata_) metadata_ = parse_metadata(frame.metadata);
  return *metadata_;
}

void Received::throw_empty() {
  throw Closed("this object or lease is empty: it was released, or moved to another place");
}

void Object::Free::operator()(std::byte* memory) const noexcept { ::operator delete[](memory, kMemoryAlignment); }

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
// never touched.
Object Object::uninitialised(std::uint64_t metadata_size, std::uint64_t payload_size, unsigned attempt) {
  static_cast<void>(frame_extents(metadata_size, payload_size));  // throws for what no memory holds
  const std::uint64_t payload_offset = wire::align_up(metadata_size);
  std::unique_ptr<std::byte[], Free> memory(
      static_cast<std::byte*>(::operator new[](payload_offset + payload_size, kMemoryAlignment)));
  std::byte* const start = memory.get();
  const FrameView frame{{reinterpret_cast<const char*>(start), metadata_size}, {start + payload_offset, payload_size}};
  return Object(std::move(memory), frame, attempt);
}

std::span<std::byte> Object::writable_payload() noexcept {
  if (!valid()) return {};
  const auto payload = view().payload;
  return {const_cast<std::byte*>(payload.data()), payload.size()};
}

}  // namespace shmlane
