// SPDX-License-Identifier: Apache-2.0
// Pushing lists and maps: each item is encoded by its own codec, at a multiple of 64 bytes, so that it can be viewed
// in place.
#include <cstring>
#include <unordered_set>

#include "fields.hpp"
#include "json_text.hpp"
#include "shmlane/value.hpp"
#include "shmlane/wire.hpp"

namespace shmlane {
namespace {

using Dictionary = std::map<std::string, Value>;

std::string value_metadata(const Value& value, unsigned depth);

const Value& value_of(const Value& item) { return item; }
template <class Key>
const Value& value_of(const std::pair<Key, Value>& item) {
  return item.second;
}

// Places items one behind the other.
class Layout {
 public:
  struct Place {
    std::uint64_t gap;  // bytes to zero before the item
    std::uint64_t offset;
  };

  Place add(std::uint64_t size) {
    const std::uint64_t offset = wire::align_up(end_);
    const auto end = checked_sum(offset, size);
    if (!end) throw InvalidArgument("the items of a list or map are too large together");
    return {offset - std::exchange(end_, *end), offset};
  }
  [[nodiscard]] std::uint64_t end() const noexcept { return end_; }

 private:
  std::uint64_t end_ = 0;
};

template <class Items>
void check(const Items& items, unsigned depth) {
  if (depth >= kMaxListDepth) throw InvalidArgument("lists and maps are nested more than 10 levels deep");
  if (items.size() > kMaxListItems) {
    throw InvalidArgument("a list or map has " + std::to_string(items.size()) + " items, more than 1000");
  }
}

void check_keys(const Map& map) {
  std::unordered_set<std::string_view> keys;
  for (const auto& [key, value] : map) {
    if (!keys.insert(key).second) throw InvalidArgument("a map has the key " + shmlane::quoted(key) + " twice");
  }
}

void append_key(std::string&, const Value&) {}
template <class Key>
void append_key(std::string& text, const std::pair<Key, Value>& item) {
  append_json_text(text += R"("key":)", item.first);
  text += ',';
}

template <class Items>
std::string items_metadata(std::string_view type, const Items& items, unsigned depth) {
  check(items, depth);
  std::string text;
  text.append(R"({"type":")").append(type).append(R"(","items":[)");
  Layout layout;
  for (const auto& item : items) {
    const Value& value = value_of(item);
    const std::uint64_t size = Codec<Value>::payload_size(value);
    text += text.back() == '[' ? "{" : ",{";
    append_key(text, item);
    text.append(R"("offset":)").append(std::to_string(layout.add(size).offset));
    text.append(R"(,"size":)").append(std::to_string(size));
    text.append(R"(,"metadata":)").append(value_metadata(value, depth + 1)) += '}';
  }
  return text += "]}";
}

std::string map_metadata(const Map& map, unsigned depth) {
  check_keys(map);
  return items_metadata("map", map, depth);
}

template <class Items>
std::uint64_t items_size(const Items& items) {
  Layout layout;
  for (const auto& item : items) layout.add(Codec<Value>::payload_size(value_of(item)));
  return layout.end();
}

template <class Items>
void write_items(const Items& items, std::span<std::byte> out) {
  Layout layout;
  for (const auto& item : items) {
    const std::uint64_t size = Codec<Value>::payload_size(value_of(item));
    const auto [gap, offset] = layout.add(size);
    if (layout.end() > out.size()) throw InvalidArgument("a list or map changed while it was being written");
    std::memset(out.data() + offset - gap, 0, gap);
    Codec<Value>::write(value_of(item), out.subspan(offset, size));
  }
}

struct MetadataOf {
  unsigned depth;
  // Inside of a list a null is harmless.
  std::string operator()(const Json&) const { return R"({"type":"json"})"; }
  std::string operator()(const List& list) const { return items_metadata("list", list, depth); }
  std::string operator()(const Map& map) const { return map_metadata(map, depth); }
  template <class T>
  std::string operator()(const T& object) const {
    return std::string(Codec<T>::metadata(object));
  }
};

std::string value_metadata(const Value& value, unsigned depth) {
  return std::visit(MetadataOf{depth}, value.variant());
}

}  // namespace

std::string Codec<Value>::metadata(const Value& value) {
  if (const Json* json = value.get_if<Json>()) return std::string(Codec<Json>::metadata(*json));
  return value_metadata(value, 0);
}

std::uint64_t Codec<Value>::payload_size(const Value& value) {
  return std::visit([]<class T>(const T& object) { return Codec<T>::payload_size(object); }, value.variant());
}

void Codec<Value>::write(const Value& value, std::span<std::byte> out) {
  std::visit([&]<class T>(const T& object) { Codec<T>::write(object, out); }, value.variant());
}

std::string Codec<List>::metadata(const List& list) { return items_metadata("list", list, 0); }
std::uint64_t Codec<List>::payload_size(const List& list) { return items_size(list); }
void Codec<List>::write(const List& list, std::span<std::byte> out) { write_items(list, out); }

std::string Codec<Map>::metadata(const Map& map) { return map_metadata(map, 0); }
std::uint64_t Codec<Map>::payload_size(const Map& map) { return items_size(map); }
void Codec<Map>::write(const Map& map, std::span<std::byte> out) { write_items(map, out); }

std::string Codec<Dictionary>::metadata(const Dictionary& map) { return items_metadata("map", map, 0); }
std::uint64_t Codec<Dictionary>::payload_size(const Dictionary& map) { return items_size(map); }
void Codec<Dictionary>::write(const Dictionary& map, std::span<std::byte> out) { write_items(map, out); }

}  // namespace shmlane
