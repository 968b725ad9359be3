// SPDX-License-Identifier: Apache-2.0
// Registry: custom types by name and version, what carries their objects, and what arrives when nobody knows a type.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include "shmlane/codec.hpp"
#include "shmlane/error.hpp"
#include "shmlane/export.hpp"

namespace shmlane {

// A frame as it is, of a type, version, dtype or encoding that is unknown here (W-91): nothing is lost, and it can be
// pushed on.
// Borrows the payload.
struct Unknown {
  std::shared_ptr<const Metadata> metadata;
  std::span<const std::byte> payload;
};

// What a registered encode function makes of an object: keys of its own for the metadata, and the payload.
struct Encoded {
  Json extra_metadata;  // an object without the keys "type" and "version", or null
  std::vector<std::byte> payload;
};

class Custom;

// Thread-safe. Functions given to add() are called without a lock held, possibly by several threads at once.
class SHMLANE_EXPORT Registry {
 public:
  Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  ~Registry();

  // The registry that codecs ask.
  static Registry& global();

  // Makes T a type that crosses as Custom(object).
  //   encoder  const T& -> Encoded
  //   decoder  (const Metadata&, std::span<const std::byte>) -> T, which may borrow the payload; throws Corrupt
  // Frames with {"type": type, "version": version} come back as T. Further versions may be added, so that objects of
  // older producers stay readable: T is encoded by what was added for it last. The same type and version once more
  // replaces the former. A built-in type's name takes precedence for frames that carry the version.
  // Throws InvalidArgument for an empty name, a name that is not UTF-8, or version 0.
  template <class T, class Encode, class Decode>
  void add(std::string_view type, std::uint32_t version, Encode encoder, Decode decoder) {
    add_entry(
        type, version, typeid(T),
        [function = std::move(encoder)](const void* object) -> Encoded {
          return function(*static_cast<const T*>(object));
        },
        [function = std::move(decoder)](const Metadata& metadata, std::span<const std::byte> payload) {
          return std::static_pointer_cast<const void>(std::make_shared<const T>(function(metadata, payload)));
        });
  }
  // Forgets a type's version; false if it was not there.
  bool remove(std::string_view type, std::uint32_t version);

  // The object in a frame, if its type and version are registered. Throws what the decode function throws.
  [[nodiscard]] std::optional<Custom> decode(const Unknown& frame) const;
  // Logs that objects of this type and version arrive raw, and why; once for each type and version.
  void warn_once(const Metadata& metadata, std::string_view why) const;

 private:
  friend class Custom;
  using EncodeFunction = std::function<Encoded(const void* object)>;
  using DecodeFunction = std::function<std::shared_ptr<const void>(const Metadata&, std::span<const std::byte>)>;
  struct Entry;
  struct State;

  void add_entry(std::string_view type, std::uint32_t version, const std::type_info& of, EncodeFunction encoder,
                 DecodeFunction decoder);
  [[nodiscard]] std::shared_ptr<const Entry> find(const Json& metadata) const;
  [[nodiscard]] std::shared_ptr<const Entry> find(const std::type_info& of) const;

  std::unique_ptr<State> state_;
};

// An object of a registered type with its encoded form. Copies share both. One that arrived borrows its payload.
class SHMLANE_EXPORT Custom {
 public:
  // Encodes `object`, once. Throws UnsupportedType if its type is not registered.
  template <class T>
    requires(!std::same_as<T, Custom>)
  explicit Custom(T object, const Registry& registry = Registry::global())
      : object_(std::make_shared<const T>(std::move(object))), object_type_(&typeid(T)) {
    encode(registry);
  }

  [[nodiscard]] const Metadata& metadata() const noexcept { return *frame_.metadata; }
  [[nodiscard]] std::span<const std::byte> payload() const noexcept { return frame_.payload; }

  // The object, or null if it is not a T.
  template <class T>
  [[nodiscard]] const T* get_if() const noexcept {
    return *object_type_ == typeid(T) ? static_cast<const T*>(object_.get()) : nullptr;
  }
  // The object. Throws WrongType if it is not a T.
  template <class T>
  [[nodiscard]] const T& as() const {
    if (const T* object = get_if<T>()) return *object;
    throw WrongType("the object of type '" + metadata().type + "' is registered for another C++ type");
  }

 private:
  friend class Registry;
  Custom(Unknown frame, std::shared_ptr<const void> object, const std::type_info* type)
      : frame_(std::move(frame)), object_(std::move(object)), object_type_(type) {}
  void encode(const Registry& registry);

  Unknown frame_;
  std::shared_ptr<const std::vector<std::byte>> owned_payload_;  // null if the payload is borrowed
  std::shared_ptr<const void> object_;
  const std::type_info* object_type_;
};

// Any frame as it is, of whatever type. Reading borrows the payload.
template <>
struct SHMLANE_EXPORT Codec<Unknown> {
  static std::string metadata(const Unknown& frame);
  static std::uint64_t payload_size(const Unknown& frame) { return frame.payload.size(); }
  static void write(const Unknown& frame, std::span<std::byte> out);
  static Unknown read(const Metadata& metadata, std::span<const std::byte> payload);
};

// Through Registry::global(). read() throws WrongType for a type or version that is not registered.
template <>
struct SHMLANE_EXPORT Codec<Custom> {
  static std::string metadata(const Custom& custom);
  static std::uint64_t payload_size(const Custom& custom) { return custom.payload().size(); }
  static void write(const Custom& custom, std::span<std::byte> out);
  static Custom read(const Metadata& metadata, std::span<const std::byte> payload);
};

}  // namespace shmlane
