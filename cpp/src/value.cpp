// SPDX-License-Identifier: Apache-2.0
// Values of any type: looking at them, and reading what arrives by its type name.
#include "shmlane/value.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <unordered_set>

#include "cuda_placement.hpp"
#include "fields.hpp"
#include "json_text.hpp"
#include "shmlane/wire.hpp"

namespace shmlane {
namespace {

using Payload = std::span<const std::byte>;

Value read_value(const Json& metadata, Payload payload, unsigned depth);

// Calls `take(fields, value)` for each item of a list or map, in order.
template <class Take>
void read_items(const Json& metadata, Payload payload, unsigned depth, const Take& take) {
  const Fields fields(metadata);
  if (depth >= kMaxListDepth) fields.corrupt("lists and maps are nested more than 10 levels deep");
  const Json& items = fields.list("items");
  if (items.size() > kMaxListItems) fields.corrupt("it has more than 1000 items");
  std::uint64_t end = 0;
  for (const Json& item : items) {
    const Fields place(item);
    const std::uint64_t offset = place.length("offset");
    const std::uint64_t size = place.length("size");
    if (offset % wire::kAlignment != 0) fields.corrupt("an item's offset is not a multiple of 64");
    if (offset < end) fields.corrupt("its items overlap or are not in order");
    const auto item_end = checked_sum(offset, size);
    if (!item_end || *item_end > payload.size()) fields.corrupt("an item lies outside of the payload");
    end = *item_end;
    take(place, read_value(place.any("metadata"), payload.subspan(offset, size), depth + 1));
  }
}

List read_list(const Json& metadata, Payload payload, unsigned depth) {
  List list;
  read_items(metadata, payload, depth, [&](const Fields&, Value value) { list.push_back(std::move(value)); });
  return list;
}

Map read_map(const Json& metadata, Payload payload, unsigned depth) {
  Map map;
  std::unordered_set<std::string_view> keys;
  read_items(metadata, payload, depth, [&](const Fields& item, Value value) {
    const std::string& key = item.text("key");
    if (!keys.insert(key).second) item.corrupt("its key is there twice");
    map.emplace_back(key, std::move(value));
  });
  return map;
}

// What an Importer of shmlane::cuda takes; here no more than checked.
Unknown read_handle(const std::string& type, const Json& metadata, Payload payload) {
  static_cast<void>(CudaPlacement::read(metadata, payload));
  return {std::make_shared<const Metadata>(Metadata{type, metadata}), payload};
}

// Nothing for a type that is not built in.
std::optional<Value> read_builtin(const std::string& type, const Json& metadata, Payload payload, unsigned depth) {
  if (type == "bytes") return payload;
  if (type == "text") return read_text(payload);
  if (type == "json") return read_json(payload, depth > 0);
  if (type == "ndarray") return read_ndarray(metadata, payload);
  if (type == "image") return read_image(metadata, payload);
  if (type == "list") return read_list(metadata, payload, depth);
  if (type == "map") return read_map(metadata, payload, depth);
  if (type == "cuda") return read_handle(type, metadata, payload);
  return std::nullopt;
}

// W-91: what is unknown arrives raw, also as an item of a list.
Value read_value(const Json& metadata, Payload payload, unsigned depth) {
  const std::string& type = Fields(metadata).text("type");
  std::string why = "no codec is registered for them";
  if (version_of(metadata) == std::uint32_t{0}) {
    try {
      if (auto value = read_builtin(type, metadata, payload, depth)) return *std::move(value);
    } catch (const UnsupportedType& error) {
      why = error.what();
    }
  }
  const Registry& registry = Registry::global();
  Unknown frame{std::make_shared<const Metadata>(Metadata{type, metadata}), payload};
  if (auto custom = registry.decode(frame)) return *std::move(custom);
  registry.warn_once(*frame.metadata, why);
  return frame;
}

}  // namespace

std::string_view Value::type() const noexcept {
  struct Visitor {
    std::string_view operator()(const Json&) const { return "json"; }
    std::string_view operator()(const Bytes&) const { return "bytes"; }
    std::string_view operator()(std::string_view) const { return "text"; }
    std::string_view operator()(const NdView&) const { return "ndarray"; }
    std::string_view operator()(const ImageView&) const { return "image"; }
    std::string_view operator()(const List&) const { return "list"; }
    std::string_view operator()(const Map&) const { return "map"; }
    std::string_view operator()(const Custom& custom) const { return custom.metadata().type; }
    std::string_view operator()(const Unknown& frame) const { return frame.metadata->type; }
  };
  return std::visit(Visitor{}, variant_);
}

std::size_t Value::size() const {
  if (const auto* map = get_if<Map>()) return map->size();
  return as<List>().size();
}

const Value& Value::at(std::size_t index) const {
  if (index >= size()) throw InvalidArgument("there is no item " + std::to_string(index));
  if (const auto* map = get_if<Map>()) return (*map)[index].second;
  return as<List>()[index];
}

const Value& Value::at(std::string_view key) const {
  const Map& map = as<Map>();
  const auto found = std::find_if(map.begin(), map.end(), [&](const auto& item) { return item.first == key; });
  if (found == map.end()) throw InvalidArgument("there is no item with the key " + shmlane::quoted(key));
  return found->second;
}

Value Codec<Value>::read(const Metadata& metadata, Payload payload) { return read_value(metadata.json, payload, 0); }

List Codec<List>::read(const Metadata& metadata, Payload payload) {
  expect_type(metadata, "list");
  return read_list(metadata.json, payload, 0);
}

Map Codec<Map>::read(const Metadata& metadata, Payload payload) {
  expect_type(metadata, "map");
  return read_map(metadata.json, payload, 0);
}

std::map<std::string, Value> Codec<std::map<std::string, Value>>::read(const Metadata& metadata, Payload payload) {
  Map items = Codec<Map>::read(metadata, payload);
  return {std::make_move_iterator(items.begin()), std::make_move_iterator(items.end())};
}

}  // namespace shmlane
