// SPDX-License-Identifier: Apache-2.0
// The codec concept: how an object becomes a frame's metadata and payload, and how it is viewed again.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "shmlane/frame.hpp"

namespace shmlane {

using Json = nlohmann::json;

// Metadata once parsed: immutable, shared by the frames that carry the same bytes.
struct Metadata {
  std::string type;  // the value of "type"
  Json json;         // the whole object
};

// Parses metadata; a call with the bytes of one of this thread's last calls returns the earlier result without parsing.
// Throws Corrupt if the text is not a JSON object with a string "type".
SHMLANE_EXPORT std::shared_ptr<const Metadata> parse_metadata(std::string_view text);

// Specialised for every type that crosses. A specialisation has
//   static std::string or std::string_view metadata(const T&)   the JSON text; throws UnsupportedType or InvalidArgument
//   static std::uint64_t payload_size(const T&)                 bytes
//   static void write(const T&, std::span<std::byte>)           exactly payload_size bytes, 64-byte aligned
//   static T read(const Metadata&, std::span<const std::byte>)  checks every length; throws WrongType or Corrupt
// and may have
//   static std::span<const std::byte> bytes(const T&)           the payload, if it lies in memory just as it will cross;
//                                                               an optional one, if that is so of some objects only
// Either half may be missing: a type that only goes out, or only comes in. What read() returns may borrow the payload.
template <class T>
struct Codec;

template <class T>
concept Encodable = requires(const T& object, std::span<std::byte> out) {
  { Codec<T>::metadata(object) } -> std::convertible_to<std::string_view>;
  { Codec<T>::payload_size(object) } -> std::convertible_to<std::uint64_t>;
  Codec<T>::write(object, out);
};

template <class T>
concept Contiguous = requires(const T& object) {
  { Codec<T>::bytes(object) } -> std::convertible_to<std::optional<std::span<const std::byte>>>;
};

template <class T>
concept Decodable = requires(const Metadata& metadata, std::span<const std::byte> payload) {
  { Codec<T>::read(metadata, payload) } -> std::convertible_to<T>;
};

}  // namespace shmlane
