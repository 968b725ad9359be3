// SPDX-License-Identifier: Apache-2.0
// Checked access to metadata that another process wrote.
#include "fields.hpp"

#include <limits>

#include "json_text.hpp"
#include "shmlane/error.hpp"

namespace shmlane {

std::optional<std::uint64_t> checked_sum(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t result = 0;
  if (__builtin_add_overflow(a, b, &result) || result > kMaxLength) return std::nullopt;
  return result;
}

std::optional<std::uint64_t> checked_product(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result) || result > kMaxLength) return std::nullopt;
  return result;
}

std::optional<std::uint64_t> to_length(const Json& json) noexcept {
  if (!json.is_number_integer()) return std::nullopt;
  // What is beyond the signed range turns negative here.
  const auto number = json.get<std::int64_t>();
  if (number < 0) return std::nullopt;
  return static_cast<std::uint64_t>(number);
}

Fields::Fields(const Json& metadata) : json_(metadata) {
  if (!json_.is_object()) throw Corrupt("metadata is not a JSON object");
}

const Json& Fields::any(const char* key) const {
  const auto found = json_.find(key);
  if (found == json_.end()) corrupt(std::string("it has no \"") + key + '"');
  return *found;
}

const std::string& Fields::text(const char* key) const {
  const Json& value = any(key);
  if (!value.is_string()) corrupt(std::string("its \"") + key + "\" is not a string");
  return value.get_ref<const std::string&>();
}

const Json& Fields::list(const char* key) const {
  const Json& value = any(key);
  if (!value.is_array()) corrupt(std::string("its \"") + key + "\" is not a list");
  return value;
}

std::uint64_t Fields::length(const char* key) const {
  const auto length = to_length(any(key));
  if (!length) corrupt(std::string("its \"") + key + "\" is not a length");
  return *length;
}

DType Fields::dtype() const {
  const Json& json = any("dtype");
  if (json == "|O") corrupt("its items are references to objects of another process");
  try {
    DType dtype = DType::parse(json);
    if (dtype.itemsize() == 0) corrupt("its items have no bytes");
    return dtype;
  } catch (const InvalidArgument& error) {
    corrupt(error.what());
  }
}

void Fields::corrupt(const std::string& why) const { throw Corrupt(describe(why)); }

void Fields::unsupported(const std::string& why) const { throw UnsupportedType(describe(why)); }

std::string Fields::describe(const std::string& why) const {
  const auto type = json_.find("type");
  const bool named = type != json_.end() && type->is_string();
  return "bad metadata" + (named ? " of type " + shmlane::quoted(type->get_ref<const std::string&>()) : "") + ": " +
         why;
}

std::optional<std::uint32_t> version_of(const Json& metadata) noexcept {
  const auto found = metadata.find("version");
  if (found == metadata.end()) return 0;
  const auto number = to_length(*found);
  if (!number || *number == 0 || *number > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

void expect_type(const Metadata& metadata, std::string_view type) {
  const bool plain = version_of(metadata.json) == std::uint32_t{0};
  if (metadata.type == type && plain) return;
  throw WrongType("the object is of type " + shmlane::quoted(metadata.type) + (plain ? "" : ", defined elsewhere") +
                  ", not \"" + std::string(type) + '"');
}

}  // namespace shmlane
