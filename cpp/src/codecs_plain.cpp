// SPDX-License-Identifier: Apache-2.0
// Codecs of bytes, text and JSON.
#include <cstring>

#include "fields.hpp"
#include "json_text.hpp"
#include "shmlane/codecs.hpp"
#include "shmlane/error.hpp"
#include "utf8.hpp"

namespace shmlane {
namespace {

void copy(const void* from, std::size_t size, std::span<std::byte> out) {
  if (size != out.size()) throw InvalidArgument("an object changed while it was being written");
  if (size != 0) std::memcpy(out.data(), from, size);
}

std::string_view as_text(std::span<const std::byte> payload) noexcept {
  return {reinterpret_cast<const char*>(payload.data()), payload.size()};
}

}  // namespace

void Codec<std::span<const std::byte>>::write(std::span<const std::byte> bytes, std::span<std::byte> out) {
  copy(bytes.data(), bytes.size(), out);
}

std::span<const std::byte> Codec<std::span<const std::byte>>::read(const Metadata& metadata,
                                                                   std::span<const std::byte> payload) {
  expect_type(metadata, "bytes");
  return payload;
}

std::string_view Codec<std::string_view>::metadata(std::string_view text) {
  if (!valid_utf8(text)) throw InvalidArgument("the text is not UTF-8: push it as bytes");
  return R"({"type":"text"})";
}

void Codec<std::string_view>::write(std::string_view text, std::span<std::byte> out) {
  copy(text.data(), text.size(), out);
}

std::string_view Codec<std::string_view>::read(const Metadata& metadata, std::span<const std::byte> payload) {
  expect_type(metadata, "text");
  return read_text(payload);
}

std::string_view read_text(std::span<const std::byte> payload) {
  if (!valid_utf8(as_text(payload))) throw Corrupt("the payload of an object of type \"text\" is not UTF-8");
  return as_text(payload);
}

std::string_view Codec<Json>::metadata(const Json& json) {
  if (json.is_null()) throw UnsupportedType("a lone null cannot be pushed: Python would take it for the end of stream");
  return R"({"type":"json"})";
}

std::uint64_t Codec<Json>::payload_size(const Json& json) { return json_text_size(json); }

void Codec<Json>::write(const Json& json, std::span<std::byte> out) { write_json_text(json, out); }

Json Codec<Json>::read(const Metadata& metadata, std::span<const std::byte> payload) {
  expect_type(metadata, "json");
  return read_json(payload, false);
}

Json read_json(std::span<const std::byte> payload, bool is_item) {
  // A lease's payload can still be written by others, and the parser goes over its text twice.
  const std::string copy(as_text(payload));
  Json json = parse_json_text(copy);
  if (json.is_null() && !is_item) throw Corrupt("the object is a lone JSON null, which nobody may push");
  return json;
}

}  // namespace shmlane
