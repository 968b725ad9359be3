// SPDX-License-Identifier: Apache-2.0
// Fields of metadata that another process wrote, and checked arithmetic on what they say.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "shmlane/codec.hpp"
#include "shmlane/image.hpp"
#include "shmlane/ndarray.hpp"

namespace shmlane {

// Lengths are kept within what a signed word and a pointer difference can say.
inline constexpr std::uint64_t kMaxLength = PTRDIFF_MAX;

// nullopt where the result is beyond kMaxLength.
[[nodiscard]] std::optional<std::uint64_t> checked_sum(std::uint64_t a, std::uint64_t b) noexcept;
[[nodiscard]] std::optional<std::uint64_t> checked_product(std::uint64_t a, std::uint64_t b) noexcept;

// The fields of one metadata object. Every accessor throws Corrupt if the field is missing or of another kind.
class Fields {
 public:
  // `metadata` must outlive this; throws Corrupt if it is not an object.
  explicit Fields(const Json& metadata);

  [[nodiscard]] const Json& any(const char* key) const;
  [[nodiscard]] const std::string& text(const char* key) const;
  [[nodiscard]] const Json& list(const char* key) const;
  [[nodiscard]] std::uint64_t length(const char* key) const;  // 0 to kMaxLength
  // Throws UnsupportedType for a name that is unknown here (W-91).
  [[nodiscard]] DType dtype() const;

  [[noreturn]] void corrupt(const std::string& why) const;
  [[noreturn]] void unsupported(const std::string& why) const;

 private:
  [[nodiscard]] std::string describe(const std::string& why) const;
  const Json& json_;
};

// 0 to kMaxLength, or nullopt for any other JSON.
[[nodiscard]] std::optional<std::uint64_t> to_length(const Json& json) noexcept;

// "version" of metadata: 0 where there is none, as in all built-in types; nullopt where it is not a version.
[[nodiscard]] std::optional<std::uint32_t> version_of(const Json& metadata) noexcept;

// Throws WrongType unless the metadata is of this built-in type. A version marks a custom type of the same name.
void expect_type(const Metadata& metadata, std::string_view type);

// The built-in codecs' readers; each checks every field but "type". They throw Corrupt, or UnsupportedType for a dtype
// or encoding that is unknown here.
[[nodiscard]] std::string_view read_text(std::span<const std::byte> payload);
// W-83: a null may only be an item of a list or map.
[[nodiscard]] Json read_json(std::span<const std::byte> payload, bool is_item);
[[nodiscard]] NdView read_ndarray(const Json& metadata, std::span<const std::byte> payload);
[[nodiscard]] ImageView read_image(const Json& metadata, std::span<const std::byte> payload);

}  // namespace shmlane
