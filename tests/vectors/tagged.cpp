// SPDX-License-Identifier: Apache-2.0
// Objects, JSON values and bytes as testees write them.
#include "tagged.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <stdexcept>

namespace testee {
namespace {

using shmlane::Json;

Json json_value(const Json& value) {
  if (value.is_object()) {
    Json items = Json::object();
    for (const auto& [key, item] : value.items()) items[key] = json_value(item);
    return {{"object", std::move(items)}};
  }
  if (value.is_array()) {
    Json items = Json::array();
    for (const Json& item : value) items.push_back(json_value(item));
    return items;
  }
  if (value.is_number_float()) {
    auto bytes = std::bit_cast<std::array<std::byte, sizeof(double)>>(value.get<double>());
    std::reverse(bytes.begin(), bytes.end());
    return {{"float", to_hex(bytes)}};
  }
  if (value.is_number_unsigned()) return {{"integer", std::to_string(value.get<std::uint64_t>())}};
  if (value.is_number_integer()) return {{"integer", std::to_string(value.get<std::int64_t>())}};
  return value;
}

// Raw pixels in RGB order.
std::vector<std::byte> pixels_of(const shmlane::ImageView& image) {
  std::vector<std::byte> pixels(image.data.begin(), image.data.end());
  const bool swapped = image.order == shmlane::ChannelOrder::kBgr || image.order == shmlane::ChannelOrder::kBgra;
  const std::size_t channel = image.dtype.itemsize();
  const std::size_t pixel = channel * image.channels();
  for (std::size_t at = 0; swapped && at + pixel <= pixels.size(); at += pixel) {
    std::swap_ranges(&pixels[at], &pixels[at] + channel, &pixels[at] + 2 * channel);
  }
  return pixels;
}

Json items_of(const shmlane::List& list) {
  Json items = Json::array();
  for (const shmlane::Value& item : list) items.push_back(tagged(item));
  return items;
}

Json items_of(const shmlane::Map& map) {
  Json items = Json::array();
  for (const auto& [key, item] : map) items.push_back({key, tagged(item)});
  return items;
}

struct Tagger {
  Json operator()(const Json& json) const { return {{"value", json_value(json)}}; }
  Json operator()(shmlane::Value::Bytes bytes) const { return {{"payload", to_hex(bytes)}}; }
  Json operator()(std::string_view text) const { return {{"text", text}}; }
  Json operator()(const shmlane::NdView& array) const {
    const std::vector<std::int64_t> shape(array.shape.begin(), array.shape.end());
    return {{"dtype", array.dtype.to_json()}, {"shape", shape}, {"items", to_hex(array.bytes())}};
  }
  Json operator()(const shmlane::ImageView& image) const {
    std::string order(order_name(image.order));
    if (order.starts_with("BGR")) std::swap(order[0], order[2]);
    Json json = {{"width", image.width}, {"height", image.height}, {"dtype", image.dtype.to_json()}, {"order", order}};
    if (image.encoding == shmlane::ImageEncoding::kRaw) {
      json["pixels"] = to_hex(pixels_of(image));
    } else {
      json["encoding"] = encoding_name(image.encoding);
      json["file"] = to_hex(image.data);
    }
    return json;
  }
  Json operator()(const shmlane::List& list) const { return {{"items", items_of(list)}}; }
  Json operator()(const shmlane::Map& map) const { return {{"items", items_of(map)}}; }
  Json operator()(const shmlane::Unknown& frame) const {
    return {{"metadata", json_value(frame.metadata->json)}, {"payload", to_hex(frame.payload)}};
  }
  // Nothing is registered here.
  Json operator()(const shmlane::Custom&) const { throw std::logic_error("a custom type"); }
};

}  // namespace

Json tagged(const shmlane::Value& value) {
  Json json = std::visit(Tagger{}, value.variant());
  json["type"] = value.get_if<shmlane::Unknown>() != nullptr ? "unknown" : std::string(value.type());
  return json;
}

std::string to_hex(std::span<const std::byte> bytes) {
  std::string digits;
  digits.reserve(2 * bytes.size());
  for (const std::byte byte : bytes) {
    digits += "0123456789abcdef"[std::to_integer<unsigned>(byte) >> 4];
    digits += "0123456789abcdef"[std::to_integer<unsigned>(byte) & 15];
  }
  return digits;
}

std::vector<std::byte> from_hex(const std::string& digits) {
  std::vector<std::byte> bytes(digits.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    unsigned byte = 0;
    const char* const start = &digits[2 * i];
    if (std::from_chars(start, start + 2, byte, 16).ptr != start + 2) throw std::invalid_argument("not hexadecimal");
    bytes[i] = static_cast<std::byte>(byte);
  }
  return bytes;
}

}  // namespace testee
