// SPDX-License-Identifier: Apache-2.0
// Values of any type, lists and maps of them: layout, limits, and metadata that lies.
#include "shmlane/value.hpp"

#include <doctest/doctest.h>

#include "shmlane/log.hpp"
#include "support/frames.hpp"

using frames::encode;
using frames::make;
using shmlane::Corrupt;
using shmlane::ImageView;
using shmlane::InvalidArgument;
using shmlane::Json;
using shmlane::List;
using shmlane::Map;
using shmlane::NdView;
using shmlane::Object;
using shmlane::Value;
using shmlane::WrongType;
using Bytes = std::span<const std::byte>;

namespace {

List nested(unsigned levels) {
  List list{"innermost"};
  for (unsigned level = 1; level < levels; ++level) list = List{std::move(list)};
  return list;
}

// As nested(), written by hand without any limit.
std::string nested_metadata(unsigned levels) {
  std::string text = R"({"type":"bytes"})";
  for (unsigned level = 0; level < levels; ++level) {
    text = R"({"type":"list","items":[{"offset":0,"size":0,"metadata":)" + text + "}]}";
  }
  return text;
}

}  // namespace

TEST_CASE("a value of each type is what a consumer gets without knowing what comes") {
  const auto bytes = frames::counting_bytes(12);
  const std::vector<float> numbers{1, 2, 3};
  const Object frames[] = {
      encode(Value(Bytes(bytes))),
      encode(Value("text")),
      encode(Value(Json{{"a", 1}})),
      encode(Value(NdView::of(numbers))),
      encode(Value(ImageView::raw(2, 2, shmlane::ChannelOrder::kRgb, shmlane::DType("|u1"), bytes.data()))),
      encode(Value(List{"a", 1})),
      encode(Value(Map{{"k", "v"}})),
      encode(Value(7)),
      encode(Value(1.5)),
      encode(Value(true)),
      encode(Value(std::string_view("view")))};
  CHECK(std::ranges::equal(frames[0].get<Value>().as<Bytes>(), bytes));
  CHECK(frames[1].get<Value>().as<std::string_view>() == "text");
  CHECK(frames[2].get<Value>().as<Json>()["a"] == 1);
  CHECK(frames[3].get<Value>().as<NdView>().at<float>(2) == 3);
  CHECK(frames[4].get<Value>().as<ImageView>().order == shmlane::ChannelOrder::kRgb);
  CHECK(frames[5].get<Value>().at(1).as<Json>() == 1);
  CHECK(frames[6].get<Value>().at("k").as<std::string_view>() == "v");
  CHECK(frames[7].get<Value>().as<Json>() == 7);
  CHECK(frames[8].get<Value>().as<Json>() == 1.5);
  CHECK(frames[9].get<Value>().as<Json>() == true);
  CHECK(frames[10].get<Value>().as<std::string_view>() == "view");
  const char* const types[] = {"bytes", "text", "json", "ndarray", "image", "list",
                               "map",   "json", "json", "json",    "text"};
  for (std::size_t i = 0; i < std::size(frames); ++i) {
    CHECK(frames[i].type() == types[i]);
    CHECK(frames[i].get<Value>().type() == types[i]);
  }
}

TEST_CASE("a value is given out only as what it is") {
  const Value value("text");
  CHECK_THROWS_WITH_AS((void)value.as<Json>(), "the object is of type 'text', not of the type asked for", WrongType);
  CHECK(value.get_if<List>() == nullptr);
  CHECK_THROWS_AS((void)value.size(), WrongType);
  CHECK_THROWS_AS((void)value.at("key"), WrongType);
  const Value list(List{1, 2});
  CHECK_THROWS_AS((void)list.at(2), InvalidArgument);
  CHECK_THROWS_AS((void)list.at("key"), WrongType);
  const Value map(Map{{"a", 1}});
  CHECK(map.at(0).as<Json>() == 1);
  CHECK_THROWS_AS((void)map.at("b"), InvalidArgument);
}

TEST_CASE("a list's metadata places each item at a multiple of 64, with zeros between") {
  const auto bytes = frames::counting_bytes(70);
  const std::vector<std::int16_t> numbers{1, 2, 3};
  const Object frame = encode(List{Bytes(bytes), "abc", List{}, NdView::of(numbers)});
  CHECK(frame.metadata_text() ==
        R"({"type":"list","items":[{"offset":0,"size":70,"metadata":{"type":"bytes"}},)"
        R"({"offset":128,"size":3,"metadata":{"type":"text"}},)"
        R"({"offset":192,"size":0,"metadata":{"type":"list","items":[]}},)"
        R"({"offset":192,"size":6,"metadata":{"type":"ndarray","dtype":"<i2","shape":[3]}}]})");
  const std::string payload = frames::payload_text(frame);
  CHECK(payload.size() == 198);
  CHECK(payload.substr(70, 58) == std::string(58, '\0'));
  CHECK(payload.substr(128, 3) == "abc");
  CHECK(payload.substr(131, 61) == std::string(61, '\0'));
}

TEST_CASE("a map's metadata has each item's key") {
  const Map map{{"b \"quoted\"", 1}, {"a", "text"}};
  const Object frame = encode(map);
  CHECK(frame.metadata_text() ==
        R"({"type":"map","items":[{"key":"b \"quoted\"","offset":0,"size":1,"metadata":{"type":"json"}},)"
        R"({"key":"a","offset":64,"size":4,"metadata":{"type":"text"}}]})");
  const Map back = frame.get<Map>();
  REQUIRE(back.size() == 2);
  CHECK(back[0].first == "b \"quoted\"");
  CHECK(back[1].second.as<std::string_view>() == "text");
}

TEST_CASE("a std::map crosses as a map") {
  const std::map<std::string, Value> map{{"x", 1}, {"y", "text"}, {"Größe", List{1, 2}}};
  const Object frame = encode(map);
  CHECK(frame.type() == "map");
  const auto back = frame.get<std::map<std::string, Value>>();
  CHECK(back.size() == 3);
  CHECK(back.at("y").as<std::string_view>() == "text");
  CHECK(back.at("Größe").size() == 2);
}

TEST_CASE("every array of a nested batch can be viewed in place, aligned to 64 bytes") {
  const std::vector<double> doubles{1, 2, 3};
  const auto bytes = frames::counting_bytes(65);
  const Object frame =
      encode(Map{{"images", List{NdView::of(bytes), NdView::of(doubles), Map{{"deep", NdView::of(doubles)}}}},
                 {"labels", NdView::of(doubles)}});
  const Value batch = frame.get<Value>();
  const Value& images = batch.at("images");
  for (const NdView* view : {images.at(0).get_if<NdView>(), images.at(1).get_if<NdView>(),
                             images.at(2).at("deep").get_if<NdView>(), batch.at("labels").get_if<NdView>()}) {
    REQUIRE(view != nullptr);
    CHECK(reinterpret_cast<std::uintptr_t>(view->data) % 64 == 0);
    CHECK(view->data >= frame.payload().data());
    CHECK(view->data < frame.payload().data() + frame.payload().size());
  }
  CHECK(std::ranges::equal(images.at(2).at("deep").as<NdView>().as<double>(), doubles));
}

TEST_CASE("a received value can be pushed on") {
  const std::vector<double> doubles{1, 2, 3};
  const Object first = encode(Map{{"a", List{NdView::of(doubles), 1, Json()}}, {"b", "text"}});
  const Object second = encode(first.get<Value>());
  CHECK(second.metadata_text() == first.metadata_text());
  CHECK(frames::payload_text(second) == frames::payload_text(first));
}

TEST_CASE("a null may stand in a list but not alone") {
  const Object frame = encode(List{Json()});
  CHECK(frame.get<Value>().at(0).as<Json>().is_null());
  CHECK_THROWS_AS(encode(Value()), shmlane::UnsupportedType);
}

TEST_CASE("lists may be nested ten levels deep and not one more") {
  const Object frame = encode(nested(10));
  Value value = frame.get<Value>();
  for (int level = 0; level < 10; ++level) value = Value(value.at(0));
  CHECK(value.as<std::string_view>() == "innermost");
  CHECK_THROWS_AS(encode(nested(11)), InvalidArgument);
  CHECK_THROWS_AS(encode(Value(nested(11))), InvalidArgument);
  CHECK_THROWS_AS(encode(Map{{"k", nested(10)}}), InvalidArgument);
  const Object fits = make(nested_metadata(10));
  CHECK(fits.get<Value>().size() == 1);
  const Object deeper = make(nested_metadata(11));
  CHECK_THROWS_AS((void)deeper.get<Value>(), Corrupt);
  CHECK_THROWS_AS((void)deeper.get<List>(), Corrupt);
}

TEST_CASE("a list may have a thousand items and not one more") {
  List list(1000, Value(1));
  const Object frame = encode(list);
  CHECK(frame.get<List>().size() == 1000);
  list.emplace_back(1);
  CHECK_THROWS_AS(encode(list), InvalidArgument);
  Map map;
  for (int i = 0; i < 1001; ++i) map.emplace_back(std::to_string(i), 1);
  CHECK_THROWS_AS(encode(map), InvalidArgument);
  std::string items;
  for (int i = 0; i < 1001; ++i) items += R"({"offset":0,"size":0,"metadata":{"type":"bytes"}},)";
  items.pop_back();
  const Object longer = make(R"({"type":"list","items":[)" + items + "]}");
  CHECK_THROWS_AS((void)longer.get<Value>(), Corrupt);
}

TEST_CASE("keys of a map differ and are UTF-8") {
  CHECK_THROWS_AS(encode(Map{{"a", 1}, {"b", 2}, {"a", 3}}), InvalidArgument);
  CHECK_THROWS_AS(encode(Map{{"\xff", 1}}), InvalidArgument);
  CHECK_THROWS_AS(encode(List{Map{{"a", 1}, {"a", 3}}}), InvalidArgument);
}

TEST_CASE("items that their own codec refuses are refused inside of a list") {
  CHECK_THROWS_AS(encode(List{"\xff"}), InvalidArgument);
  CHECK_THROWS_AS(encode(List{std::nan("")}), InvalidArgument);
  CHECK_THROWS_AS(encode(Map{{"k", Json::binary({1})}}), shmlane::UnsupportedType);
  // Together they would be larger than any number of bytes.
  const NdView huge{shmlane::DType("|u1"), {INT64_MAX}, {0}, reinterpret_cast<const std::byte*>("x")};
  CHECK_THROWS_AS(encode(List{huge, huge}), InvalidArgument);
}

TEST_CASE("a list or map whose metadata lies is corrupt") {
  const std::string payload(200, 'x');
  const std::string item = R"({"offset":0,"size":10,"metadata":{"type":"bytes"}})";
  const auto list = [&](const std::string& items) { return make(R"({"type":"list","items":)" + items + "}", payload); };
  const Object right = list("[" + item + "]");
  CHECK(right.get<Value>().size() == 1);
  for (
      const char* items :
      {"7",
       "null",
       "{}",
       R"("x")",
       "[7]",
       "[[]]",
       "[null]",
       R"([{"size":1,"metadata":{"type":"bytes"}}])",
       R"([{"offset":0,"metadata":{"type":"bytes"}}])",
       R"([{"offset":0,"size":1}])",
       R"([{"offset":0,"size":1,"metadata":{}}])",
       R"([{"offset":0,"size":1,"metadata":"bytes"}])",
       R"([{"offset":0,"size":1,"metadata":{"type":7}}])",
       R"([{"offset":0,"size":1,"metadata":null}])",
       R"([{"offset":-64,"size":1,"metadata":{"type":"bytes"}}])",
       R"([{"offset":0.0,"size":1,"metadata":{"type":"bytes"}}])",
       R"([{"offset":"0","size":1,"metadata":{"type":"bytes"}}])",
       R"([{"offset":0,"size":-1,"metadata":{"type":"bytes"}}])",
       R"([{"offset":0,"size":1.5,"metadata":{"type":"bytes"}}])",
       R"([{"offset":0,"size":201,"metadata":{"type":"bytes"}}])",
       R"([{"offset":64,"size":137,"metadata":{"type":"bytes"}}])",
       R"([{"offset":256,"size":0,"metadata":{"type":"bytes"}}])",
       R"([{"offset":8,"size":8,"metadata":{"type":"bytes"}}])",
       R"([{"offset":64,"size":18446744073709551615,"metadata":{"type":"bytes"}}])",
       R"([{"offset":18446744073709551552,"size":64,"metadata":{"type":"bytes"}}])",
       R"([{"offset":9223372036854775744,"size":9223372036854775807,"metadata":{"type":"bytes"}}])",
       R"([{"offset":0,"size":65,"metadata":{"type":"bytes"}},{"offset":64,"size":1,"metadata":{"type":"bytes"}}])",
       R"([{"offset":64,"size":1,"metadata":{"type":"bytes"}},{"offset":0,"size":1,"metadata":{"type":"bytes"}}])",
       R"([{"offset":0,"size":1,"metadata":{"type":"ndarray","dtype":"<f4","shape":[1]}}])",
       R"([{"offset":0,"size":64,"metadata":{"type":"list","items":[{"offset":0,"size":65,"metadata":{"type":"bytes"}}]}}])"}) {
    CAPTURE(items);
    const Object frame = list(items);
    CHECK_THROWS_AS((void)frame.get<Value>(), Corrupt);
    CHECK_THROWS_AS((void)frame.get<List>(), Corrupt);
  }
  for (
      const char* items :
      {R"([{"offset":0,"size":1,"metadata":{"type":"bytes"}}])",
       R"([{"key":7,"offset":0,"size":1,"metadata":{"type":"bytes"}}])",
       R"([{"key":"a","offset":0,"size":1,"metadata":{"type":"bytes"}},{"key":"a","offset":64,"size":1,"metadata":{"type":"bytes"}}])"}) {
    CAPTURE(items);
    const Object frame = make(std::string(R"({"type":"map","items":)") + items + "}", payload);
    CHECK_THROWS_AS((void)frame.get<Value>(), Corrupt);
    CHECK_THROWS_AS((void)frame.get<Map>(), Corrupt);
  }
}

TEST_CASE("metadata nested without end is corrupt before it exhausts the stack") {
  const Object frame = make(nested_metadata(400));
  CHECK_THROWS_AS((void)frame.get<Value>(), Corrupt);
}

TEST_CASE("an unknown item of a list does not keep the others from arriving") {
  const Object frame =
      make(R"({"type":"list","items":[{"offset":0,"size":3,"metadata":{"type":"test.far","version":1}},)"
           R"({"offset":64,"size":2,"metadata":{"type":"text"}}]})",
           std::string("raw") + std::string(61, '\0') + "ok");
  shmlane::set_log_level(shmlane::LogLevel::kOff);
  const List list = frame.get<List>();
  shmlane::set_log_level(shmlane::LogLevel::kWarning);
  REQUIRE(list.size() == 2);
  CHECK(list[0].as<shmlane::Unknown>().payload.size() == 3);
  CHECK(list[0].as<shmlane::Unknown>().metadata->type == "test.far");
  CHECK(list[1].as<std::string_view>() == "ok");
}

TEST_CASE("a dtype or encoding that is unknown here arrives raw") {
  shmlane::set_log_level(shmlane::LogLevel::kOff);
  const std::pair<const char*, const char*> strangers[] = {
      {"ndarray", R"({"type":"ndarray","dtype":"int4","shape":[6]})"},
      {"image", R"({"type":"image","encoding":"webp","width":9,"height":9,"channels":1,"dtype":"|u1","order":"GRAY"})"},
      {"pickle", R"({"type":"pickle","size":3,"buffers":[]})"}};
  for (const auto& [type, metadata] : strangers) {
    const Object frame = make(metadata, "raw");
    const Value value = frame.get<Value>();
    CHECK(value.type() == type);
    CHECK(value.as<shmlane::Unknown>().payload.size() == 3);
    const Object list = encode(List{value, "text"});
    CHECK(list.get<Value>().at(0).as<shmlane::Unknown>().metadata->json == Json::parse(metadata));
    CHECK(list.get<Value>().at(1).as<std::string_view>() == "text");
  }
  shmlane::set_log_level(shmlane::LogLevel::kWarning);
}
