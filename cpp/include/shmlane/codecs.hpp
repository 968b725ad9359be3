// SPDX-License-Identifier: Apache-2.0
// Codecs of bytes, text and JSON (SPEC section 8, W-81 to W-83). Arrays, images, and lists and maps have headers of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shmlane/codec.hpp"
#include "shmlane/export.hpp"

namespace shmlane {

// Reading borrows the payload.
template <>
struct SHMLANE_EXPORT Codec<std::span<const std::byte>> {
  static std::string_view metadata(std::span<const std::byte>) { return R"({"type":"bytes"})"; }
  static std::uint64_t payload_size(std::span<const std::byte> bytes) { return bytes.size(); }
  static std::span<const std::byte> bytes(std::span<const std::byte> bytes) { return bytes; }
  static void write(std::span<const std::byte> bytes, std::span<std::byte> out);
  static std::span<const std::byte> read(const Metadata& metadata, std::span<const std::byte> payload);
};

// Reading copies.
template <>
struct Codec<std::vector<std::byte>> : Codec<std::span<const std::byte>> {
  static std::vector<std::byte> read(const Metadata& metadata, std::span<const std::byte> payload) {
    const auto bytes = Codec<std::span<const std::byte>>::read(metadata, payload);
    return {bytes.begin(), bytes.end()};
  }
};

// UTF-8. metadata() throws InvalidArgument, read() Corrupt, for what is not. Reading borrows the payload.
template <>
struct SHMLANE_EXPORT Codec<std::string_view> {
  static std::string_view metadata(std::string_view text);
  static std::uint64_t payload_size(std::string_view text) { return text.size(); }
  static std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
  static void write(std::string_view text, std::span<std::byte> out);
  static std::string_view read(const Metadata& metadata, std::span<const std::byte> payload);
};

// Reading copies.
template <>
struct Codec<std::string> : Codec<std::string_view> {
  static std::string read(const Metadata& metadata, std::span<const std::byte> payload) {
    return std::string(Codec<std::string_view>::read(metadata, payload));
  }
};

// Literals and other arrays of char, up to their first NUL. Only for pushing.
template <std::size_t kSize>
struct Codec<char[kSize]> {
  static std::string_view metadata(const char (&text)[kSize]) { return Text::metadata(view(text)); }
  static std::uint64_t payload_size(const char (&text)[kSize]) { return view(text).size(); }
  static std::span<const std::byte> bytes(const char (&text)[kSize]) { return Text::bytes(view(text)); }
  static void write(const char (&text)[kSize], std::span<std::byte> out) { Text::write(view(text), out); }

 private:
  using Text = Codec<std::string_view>;
  static std::string_view view(const char (&text)[kSize]) { return {text, ::strnlen(text, kSize)}; }
};

// JSON text, in UTF-8. payload_size() throws InvalidArgument for NaN, infinities, strings that are not UTF-8 and more
// than 500 levels, UnsupportedType for binary values. metadata() throws UnsupportedType for a lone null, which in Python
// would be the end of stream. Reading parses.
template <>
struct SHMLANE_EXPORT Codec<Json> {
  static std::string_view metadata(const Json& json);
  static std::uint64_t payload_size(const Json& json);
  static void write(const Json& json, std::span<std::byte> out);
  static Json read(const Metadata& metadata, std::span<const std::byte> payload);
};

}  // namespace shmlane
