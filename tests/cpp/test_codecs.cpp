// SPDX-License-Identifier: Apache-2.0
// Codecs of bytes, text and JSON.
#include "shmlane/codecs.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "shmlane/error.hpp"
#include "support/frames.hpp"

using frames::encode;
using frames::make;
using shmlane::Corrupt;
using shmlane::InvalidArgument;
using shmlane::Json;
using shmlane::Object;
using shmlane::UnsupportedType;
using shmlane::WrongType;
using Bytes = std::span<const std::byte>;

namespace {

// Well-formed texts around every boundary of the encoding.
const std::string kGood[] = {
    "",
    "plain",
    std::string("a\0b", 3),
    "\x7f",
    "\xc2\x80",
    "\xdf\xbf",
    "\xe0\xa0\x80",
    "\xed\x9f\xbf",
    "\xee\x80\x80",
    "\xef\xbf\xbf",
    "\xf0\x90\x80\x80",
    "\xf4\x8f\xbf\xbf",
    "Größe 漢字 🙂",
};

const std::string kBad[] = {
    "\x80",
    "\xbf",
    "\xc0\x80",
    "\xc1\xbf",
    "\xc2",
    "\xc2\x20",
    "\xc2\xc0",
    "\xe0\x9f\xbf",
    "\xe1\x80",
    "\xe1\x80\x20",
    "\xed\xa0\x80",
    "\xed\xbf\xbf",
    "\xf0\x8f\xbf\xbf",
    "\xf0\x90\x80",
    "\xf4\x90\x80\x80",
    "\xf5\x80\x80\x80",
    "\xff",
    "\xfe",
    "\xf8\x88\x80\x80\x80",
};

}  // namespace

TEST_CASE("bytes of any size cross unchanged, viewed in place or copied") {
  for (const std::size_t size : {0, 1, 63, 64, 65, 4096, 100000}) {
    const auto bytes = frames::counting_bytes(size);
    const Object frame = encode(Bytes(bytes));
    CHECK(frame.metadata_text() == R"({"type":"bytes"})");
    CHECK(frame.get<std::vector<std::byte>>() == bytes);
    CHECK(frame.get<Bytes>().data() == frame.payload().data());
    const Object copied = encode(bytes);
    CHECK(copied.get<std::vector<std::byte>>() == bytes);
  }
}

TEST_CASE("text crosses as a view, a string or a literal") {
  const std::string text = "Größe 漢字 🙂";
  const Object frame = encode(std::string_view(text));
  CHECK(frame.metadata_text() == R"({"type":"text"})");
  CHECK(frame.get<std::string_view>() == text);
  CHECK(static_cast<const void*>(frame.get<std::string_view>().data()) == frame.payload().data());
  const Object copied = encode(text);
  CHECK(copied.get<std::string>() == text);
  const Object literal = encode("Größe");
  CHECK(literal.get<std::string>() == "Größe");
  char buffer[16] = "short";
  const Object array = encode(buffer);
  CHECK(array.get<std::string>() == "short");
}

TEST_CASE("UTF-8 is accepted at any distance from the text's beginning and end") {
  for (const std::string& good : kGood) {
    for (std::size_t before = 0; before < 70; ++before) {
      const std::string text = std::string(before, 'a') + good + std::string(before % 9, 'z');
      const Object frame = encode(text);
      CHECK(frame.get<std::string_view>() == text);
    }
  }
}

TEST_CASE("what is not UTF-8 is refused at push and at read, wherever it stands") {
  for (const std::string& bad : kBad) {
    for (std::size_t before = 0; before < 70; ++before) {
      const std::string text = std::string(before, 'a') + bad + std::string(before % 9, 'z');
      CHECK_THROWS_AS(encode(text), InvalidArgument);
      const Object frame = make(R"({"type":"text"})", text);
      CHECK_THROWS_AS((void)frame.get<std::string_view>(), Corrupt);
    }
  }
}

TEST_CASE("JSON crosses unchanged, with integers and floats kept apart") {
  const Json json = {
      {"text", "Größe \"quoted\" back\\slash \b\f\n\r\t \x01\x1f/ \x7f 🙂"},
      {"", nullptr},
      {"flags", {true, false}},
      {"integers", {0, -1, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::uint64_t>::max()}},
      {"floats", {0.0, -0.0, 1.0, 0.1, 1e300, -5e-324, 3.0e20, 100000.0, std::numeric_limits<double>::max()}},
      {"nested", {{{"deep", {Json::array(), Json::object(), {{"deeper", {1, 2, 3}}}}}}}},
  };
  const Object frame = encode(json);
  CHECK(frame.metadata_text() == R"({"type":"json"})");
  const Json back = frame.get<Json>();
  CHECK(back == json);
  for (std::size_t i = 0; i < json["floats"].size(); ++i) CHECK(back["floats"][i].is_number_float());
  CHECK(std::signbit(back["floats"][1].get<double>()));
  // The text that nlohmann itself writes, but for the shape of floats.
  CHECK(frames::payload_text(encode(json["text"])) == json["text"].dump());
  CHECK(frames::payload_text(encode(json["integers"])) == json["integers"].dump());
  CHECK(frames::payload_text(encode(json["nested"])) == json["nested"].dump());
}

TEST_CASE("JSON that not every implementation can read is refused at push") {
  const auto refused = [](const Json& value) {
    CHECK_THROWS_AS(encode(Json{{"a", {1, value}}}), InvalidArgument);
    CHECK_THROWS_AS(encode(value), InvalidArgument);
  };
  refused(std::numeric_limits<double>::quiet_NaN());
  refused(std::numeric_limits<double>::infinity());
  refused(-std::numeric_limits<double>::infinity());
  for (const std::string& bad : kBad) {
    refused(bad);
    CHECK_THROWS_AS(encode(Json{{bad, 1}}), InvalidArgument);
  }
  CHECK_THROWS_AS(encode(Json::binary({1, 2, 3})), UnsupportedType);
  CHECK_THROWS_WITH_AS(encode(Json()), "a lone null cannot be pushed: Python would take it for the end of stream",
                       UnsupportedType);
}

TEST_CASE("JSON may have 500 levels and not one more") {
  Json json = 1;
  for (int level = 0; level < 500; ++level) json = level % 2 == 0 ? Json::array({json}) : Json{{"k", json}};
  const Object frame = encode(json);
  CHECK(frame.get<Json>() == json);
  CHECK_THROWS_AS(encode(Json::array({json})), InvalidArgument);
  const Object deeper = make(R"({"type":"json"})", "[" + json.dump() + "]");
  CHECK_THROWS_AS((void)deeper.get<Json>(), Corrupt);
  const Object deepest = make(R"({"type":"json"})", std::string(5000000, '['));
  CHECK_THROWS_AS((void)deepest.get<Json>(), Corrupt);
}

TEST_CASE("integers at the edge of 64 bits cross, and those beyond are corrupt") {
  for (const char* text : {"-9223372036854775808", "18446744073709551615", "[9223372036854775807,1]",
                           "{\"k\":-9223372036854775808}", "12345678901234567890.5", "12345678901234567890e3",
                           "\"99999999999999999999999\"", "0.1234567890123456789012345"}) {
    const Object frame = make(R"({"type":"json"})", text);
    CHECK(frame.get<Json>() == Json::parse(text));
  }
  for (const char* text : {"-9223372036854775809", "18446744073709551616", "[1, 99999999999999999999]",
                           "{\"k\":-99999999999999999999}", "[\"\\\"\",18446744073709551616]"}) {
    const Object frame = make(R"({"type":"json"})", text);
    CHECK_THROWS_AS((void)frame.get<Json>(), Corrupt);
  }
}

TEST_CASE("a lone null, which nobody may push, is corrupt") {
  const Object frame = make(R"({"type":"json"})", "null");
  CHECK_THROWS_AS((void)frame.get<Json>(), Corrupt);
}

TEST_CASE("brackets inside of strings are no levels") {
  const Json json = {std::string(1000, '['), std::string(1000, '{') + "\\\"" + std::string(1000, '[')};
  const Object frame = encode(json);
  CHECK(frame.get<Json>() == json);
}

TEST_CASE("a payload that is not JSON is corrupt, and the error does not repeat it") {
  const std::string large = "\"\x1b" + std::string(100000, 'x');
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[1,]"), std::string("nul"), std::string("NaN"),
        std::string("Infinity"), std::string("1e999"), std::string("\"\xff\""), std::string("1 2"), std::string("'a'"),
        std::string("\"\\ud800\""), large}) {
    const Object frame = make(R"({"type":"json"})", text);
    try {
      (void)frame.get<Json>();
      FAIL("read: ", text.substr(0, 20));
    } catch (const Corrupt& error) {
      const std::string_view what = error.what();
      CHECK(what.size() < 200);
      CHECK(what.find('\x1b') == what.npos);
    }
  }
}

TEST_CASE("an object of another type than the one asked for says which it is") {
  const Object frame = encode(std::string_view("text"));
  CHECK_THROWS_WITH_AS((void)frame.get<Bytes>(), "the object is of type \"text\", not \"bytes\"", WrongType);
  CHECK_THROWS_AS((void)frame.get<Json>(), WrongType);
  const Object bytes = make(R"({"type":"bytes"})");
  CHECK_THROWS_AS((void)bytes.get<std::string_view>(), WrongType);
}

TEST_CASE("metadata may have its keys in any order and further ones") {
  const Object frame = make(R"({ "zebra": [1, {}], "type" : "text", "aux":null })", "hello");
  CHECK(frame.get<std::string_view>() == "hello");
}

TEST_CASE("a built-in name with a version is a custom type, which the built-in codec does not touch") {
  const Object frame = make(R"({"type":"text","version":1})", "hello");
  CHECK_THROWS_AS((void)frame.get<std::string_view>(), WrongType);
}
