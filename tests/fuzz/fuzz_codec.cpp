// SPDX-License-Identifier: Apache-2.0
// Any metadata and payload as an object of the type that the program's name ends with, fuzz_codec_json, or of any type
// (SPEC section 8): what is read is pushed on, read and pushed again, and has the same bytes then.
// Input: metadata, a newline, payload.
#include "input.hpp"
#include "shmlane/error.hpp"
#include "shmlane/log.hpp"
#include "shmlane/registry.hpp"
#include "shmlane/value.hpp"
#include "support/frames.hpp"

using namespace shmlane;

namespace {

std::string wanted_type;  // "" for any

struct Point {
  std::string unit;
  std::vector<std::byte> rest;
};

void register_point() {
  Registry::global().add<Point>(
      "org.example.point", 2,
      [](const Point& point) -> Encoded {
        return {{{"unit", point.unit}}, point.rest};
      },
      [](const Metadata& metadata, std::span<const std::byte> payload) -> Point {
        const auto unit = metadata.json.find("unit");
        if (unit == metadata.json.end() || !unit->is_string()) throw Corrupt("no unit");
        return {unit->get<std::string>(), {payload.begin(), payload.end()}};
      });
}

// Each program stays with its own type.
std::string metadata_of(std::string_view text) {
  if (wanted_type.empty()) return std::string(text);
  Json json = parse_metadata(text)->json;
  const bool custom = wanted_type == "custom";
  json["type"] = custom ? "org.example.point" : wanted_type;
  if (custom) json["version"] = 2;
  return json.dump();
}

void touch(const Value& value) {
  if (const auto* array = value.get_if<NdView>()) {
    if (array->nbytes() != 0) fuzz::touch(array->bytes());
  } else if (const auto* image = value.get_if<ImageView>()) {
    fuzz::touch(image->data);
  } else if (const auto* text = value.get_if<std::string_view>()) {
    fuzz::touch(*text);
  } else if (const auto* map = value.get_if<Map>()) {
    for (const auto& [key, item] : *map) touch(item), fuzz::expect(value.at(key).type() == item.type(), "at(key)");
  } else if (const auto* list = value.get_if<List>()) {
    for (const Value& item : *list) touch(item);
  } else if (const auto* frame = value.get_if<Unknown>()) {
    fuzz::touch(frame->payload);
  }
}

// The typed reads of what the metadata says, and of what it does not.
template <class T>
void read_as(const Object& object) {
  try {
    static_cast<void>(object.get<T>());
  } catch (const Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  constexpr std::string_view kBefore = "fuzz_codec_";
  const std::string_view program = *count != 0 ? **arguments : "";
  const std::size_t at = program.rfind(kBefore);
  if (at != program.npos) wanted_type = program.substr(at + kBefore.size());
  set_log_level(LogLevel::kOff);
  register_point();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::Input(data, size).rest();
  const std::size_t end = std::min(text.find('\n'), text.size());
  try {
    const Object object = frames::make(metadata_of(text.substr(0, end)), text.substr(std::min(end + 1, text.size())));
    read_as<std::string>(object);
    read_as<Json>(object);
    read_as<NdView>(object);
    read_as<ImageView>(object);
    read_as<Custom>(object);
    const Value value = object.get<Value>();
    touch(value);
    const Object pushed = frames::encode(value);
    const Value again = pushed.get<Value>();
    touch(again);
    const Object twice = frames::encode(again);
    fuzz::expect(pushed.metadata_text() == twice.metadata_text(), "the metadata changed from push to push");
    fuzz::expect(std::ranges::equal(pushed.payload(), twice.payload()), "the payload changed from push to push");
  } catch (const Corrupt&) {
  }
  return 0;
}
