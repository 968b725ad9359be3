// SPDX-License-Identifier: Apache-2.0
// Value: an object of any type, for consumers that do not know what comes; and lists and maps of them (W-87 to W-89).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "shmlane/codec.hpp"
#include "shmlane/codecs.hpp"
#include "shmlane/error.hpp"
#include "shmlane/export.hpp"
#include "shmlane/image.hpp"
#include "shmlane/ndarray.hpp"
#include "shmlane/registry.hpp"

namespace shmlane {

class Value;
using List = std::vector<Value>;
using Map = std::vector<std::pair<std::string, Value>>;  // in the order of pushing; the keys differ

inline constexpr std::size_t kMaxListItems = 1000;  // of one list or map
inline constexpr unsigned kMaxListDepth = 10;       // lists and maps in one another, the outermost included

namespace detail {

template <class T, class Variant>
inline constexpr bool kIsAlternative = false;
template <class T, class... Types>
inline constexpr bool kIsAlternative<T, std::variant<Types...>> = (std::same_as<T, Types> || ...);

}  // namespace detail

// One object of any type. Borrows bytes, text, items and pixels: from a Lease or Object when it came from there, from
// whatever it was made of otherwise. Copies borrow from the same. Not thread-safe.
class SHMLANE_EXPORT Value {
 public:
  using Bytes = std::span<const std::byte>;
  using Variant = std::variant<Json, Bytes, std::string_view, NdView, ImageView, List, Map, Custom, Unknown>;

  // NOLINTBEGIN(google-explicit-constructor): List{"a", 1, view} is the point
  Value() = default;  // JSON null
  Value(Bytes bytes) : variant_(bytes) {}
  Value(std::string_view text) : variant_(text) {}
  Value(const std::string& text) : variant_(std::string_view(text)) {}
  Value(std::string&& text) = delete;  // would be gone before the Value
  template <std::size_t kSize>
  Value(const char (&text)[kSize]) : variant_(std::string_view(text)) {}
  template <class T>
    requires std::is_arithmetic_v<T> Value(T number) : variant_(Json(number)) {}
    template <std::same_as<Json> J>
    Value(J json) : variant_(std::move(json)) {}
    Value(NdView array) : variant_(std::move(array)) {}
    Value(ImageView image) : variant_(std::move(image)) {}
    Value(List list) : variant_(std::move(list)) {}
    Value(Map map) : variant_(std::move(map)) {}
    Value(Custom custom) : variant_(std::move(custom)) {}
    Value(Unknown frame) : variant_(std::move(frame)) {}
    // NOLINTEND(google-explicit-constructor)

    // For std::visit.
    [[nodiscard]] const Variant& variant() const noexcept { return variant_; }

    // T is one of Variant's alternatives, or a registered type. Null, or WrongType, if it is another.
    template <class T>
    [[nodiscard]] const T* get_if() const noexcept {
      if constexpr (detail::kIsAlternative<T, Variant>) {
        return std::get_if<T>(&variant_);
      } else {
        const auto* custom = std::get_if<Custom>(&variant_);
        return custom == nullptr ? nullptr : custom->get_if<T>();
      }
    }
    template <class T>
    [[nodiscard]] const T& as() const {
      if (const T* object = get_if<T>()) return *object;
      throw WrongType("the object is of type '" + std::string(type()) + "', not of the type asked for");
    }

    // The type name that metadata has for it.
    [[nodiscard]] std::string_view type() const noexcept;
    // Items of a list or map. Throws WrongType for others.
    [[nodiscard]] std::size_t size() const;
    // An item of a list or map. Throws WrongType for others, InvalidArgument if there is none.
    [[nodiscard]] const Value& at(std::size_t index) const;
    [[nodiscard]] const Value& at(std::string_view key) const;

   private:
    Variant variant_;
};

// Dispatches on the type name, through Registry::global(). A type, version, dtype or encoding that is unknown here is
// read as Unknown, with one warning in the log. Throws InvalidArgument beyond the limits above when pushing, Corrupt
// when reading.
template <>
struct SHMLANE_EXPORT Codec<Value> {
  static std::string metadata(const Value& value);
  static std::uint64_t payload_size(const Value& value);
  static void write(const Value& value, std::span<std::byte> out);
  static Value read(const Metadata& metadata, std::span<const std::byte> payload);
};

template <>
struct SHMLANE_EXPORT Codec<List> {
  static std::string metadata(const List& list);
  static std::uint64_t payload_size(const List& list);
  static void write(const List& list, std::span<std::byte> out);
  static List read(const Metadata& metadata, std::span<const std::byte> payload);
};

// Keys are UTF-8; metadata() throws InvalidArgument if two are the same.
template <>
struct SHMLANE_EXPORT Codec<Map> {
  static std::string metadata(const Map& map);
  static std::uint64_t payload_size(const Map& map);
  static void write(const Map& map, std::span<std::byte> out);
  static Map read(const Metadata& metadata, std::span<const std::byte> payload);
};

template <>
struct SHMLANE_EXPORT Codec<std::map<std::string, Value>> {
  static std::string metadata(const std::map<std::string, Value>& map);
  static std::uint64_t payload_size(const std::map<std::string, Value>& map);
  static void write(const std::map<std::string, Value>& map, std::span<std::byte> out);
  static std::map<std::string, Value> read(const Metadata& metadata, std::span<const std::byte> payload);
};

}  // namespace shmlane
