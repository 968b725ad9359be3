// SPDX-License-Identifier: Apache-2.0
// Objects made by a codec, or by hand to be wrong, without a queue in between.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "shmlane/object.hpp"

namespace frames {

// What a consumer would have after a producer pushed `object`. The payload is soiled first, so that what a codec
// leaves unwritten shows.
template <shmlane::Encodable T>
shmlane::Object encode(const T& object) {
  const auto metadata = shmlane::Codec<T>::metadata(object);
  shmlane::Object frame = shmlane::Object::allocate(metadata, shmlane::Codec<T>::payload_size(object));
  if (!frame.payload().empty()) std::memset(frame.writable_payload().data(), 0xee, frame.payload().size());
  shmlane::Codec<T>::write(object, frame.writable_payload());
  return frame;
}

inline shmlane::Object make(std::string_view metadata, std::string_view payload = {}) {
  shmlane::Object frame = shmlane::Object::allocate(metadata, payload.size());
  if (!payload.empty()) std::memcpy(frame.writable_payload().data(), payload.data(), payload.size());
  return frame;
}

inline std::string payload_text(const shmlane::Object& frame) {
  return {reinterpret_cast<const char*>(frame.payload().data()), frame.payload().size()};
}

// The bytes of consecutive numbers, for payloads of which every byte counts.
inline std::vector<std::byte> counting_bytes(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 256);
  return bytes;
}

}  // namespace frames
