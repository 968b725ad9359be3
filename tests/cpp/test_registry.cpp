// SPDX-License-Identifier: Apache-2.0
// Custom types: registered, overriding, unknown; and the log's sink, which hears of the unknown ones.
#include "shmlane/registry.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "shmlane/codecs.hpp"
#include "shmlane/log.hpp"
#include "shmlane/value.hpp"
#include "support/frames.hpp"

using frames::encode;
using frames::make;
using shmlane::Custom;
using shmlane::Encoded;
using shmlane::Json;
using shmlane::LogLevel;
using shmlane::Metadata;
using shmlane::Object;
using shmlane::Registry;
using shmlane::Unknown;
using shmlane::Value;

namespace {

struct Point {
  double x;
  double y;
  std::string name;
  bool operator==(const Point&) const = default;
};

Encoded encode_point(const Point& point) {
  const std::array<double, 2> place{point.x, point.y};
  const auto bytes = std::as_bytes(std::span(place));
  return {{{"name", point.name}}, {bytes.begin(), bytes.end()}};
}

Point decode_point(const Metadata& metadata, std::span<const std::byte> payload) {
  if (payload.size() != 16) throw shmlane::Corrupt("a point has 16 bytes");
  std::array<double, 2> place{};
  std::memcpy(place.data(), payload.data(), sizeof place);
  return {place[0], place[1], metadata.json.at("name")};
}

// Collects what is logged, and puts things back in the end.
class Lines {
 public:
  Lines() {
    shmlane::set_log_sink([this](LogLevel level, std::string_view text) {
      const std::lock_guard lock(mutex_);
      lines_.push_back(std::string(shmlane::log_level_name(level)) + ": " + std::string(text));
    });
  }
  ~Lines() {
    shmlane::set_log_sink({});
    shmlane::set_log_level(LogLevel::kWarning);
  }
  [[nodiscard]] std::vector<std::string> taken() {
    const std::lock_guard lock(mutex_);
    return std::exchange(lines_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> lines_;
};

struct Registered {
  Registered() { Registry::global().add<Point>("test.point", 2, encode_point, decode_point); }
  ~Registered() { Registry::global().remove("test.point", 2); }
};

}  // namespace

TEST_CASE("an object of a registered type crosses") {
  const Registered registered;
  const Point point{1.5, -2, "Größe"};
  const Object frame = encode(Custom(point));
  CHECK(frame.metadata_text() == R"({"type":"test.point","version":2,"name":"Größe"})");
  CHECK(frame.get<Custom>().as<Point>() == point);
  CHECK(frame.get<Value>().as<Point>() == point);
  CHECK_THROWS_AS((void)frame.get<Custom>().as<int>(), shmlane::WrongType);
  CHECK(frame.get<Value>().get_if<int>() == nullptr);
}

TEST_CASE("an object is encoded once, however often it is pushed") {
  int encodings = 0;
  Registry::global().add<Point>(
      "test.counted", 1,
      [&encodings](const Point& point) {
        ++encodings;
        return encode_point(point);
      },
      decode_point);
  const Custom custom(Point{1, 2, "once"});
  for (int i = 0; i < 3; ++i) {
    const Object frame = encode(custom);
    CHECK(frame.get<Custom>().as<Point>().name == "once");
  }
  CHECK(encodings == 1);
  CHECK(Registry::global().remove("test.counted", 1));
  CHECK_FALSE(Registry::global().remove("test.counted", 1));
}

TEST_CASE("a received custom object can be pushed on, even inside of a list") {
  const Registered registered;
  const Object first = encode(Custom(Point{3, 4, "far"}));
  const Object second = encode(first.get<Custom>());
  CHECK(second.metadata_text() == first.metadata_text());
  const Object third = encode(shmlane::List{first.get<Value>(), "text"});
  CHECK(third.get<Value>().at(0).as<Point>() == Point{3, 4, "far"});
}

TEST_CASE("a type that can only be moved can cross") {
  using Box = std::unique_ptr<int>;
  Registry::global().add<Box>(
      "test.box", 1,
      [](const Box& box) {
        return Encoded{{{"number", *box}}, {}};
      },
      [](const Metadata& metadata, std::span<const std::byte>) {
        return std::make_unique<int>(metadata.json.at("number").get<int>());
      });
  const Object frame = encode(Custom(std::make_unique<int>(42)));
  CHECK(*frame.get<Custom>().as<Box>() == 42);
  Registry::global().remove("test.box", 1);
}

TEST_CASE("older versions stay readable, and the one added last is written") {
  Registry::global().add<Point>("test.old", 1, encode_point, [](const Metadata&, std::span<const std::byte>) {
    return Point{0, 0, "from version 1"};
  });
  Registry::global().add<Point>("test.old", 2, encode_point, decode_point);
  const Object old = make(R"({"type":"test.old","version":1})");
  CHECK(old.get<Value>().as<Point>().name == "from version 1");
  CHECK(encode(Custom(Point{1, 2, "new"})).metadata().json["version"] == 2);
  Registry::global().remove("test.old", 1);
  Registry::global().remove("test.old", 2);
}

TEST_CASE("a built-in name may be overridden for frames with the version") {
  Registry::global().add<Point>("text", 3, encode_point, decode_point);
  const Object custom = encode(Custom(Point{1, 2, "written"}));
  CHECK(custom.type() == "text");
  CHECK(custom.get<Value>().as<Point>().name == "written");
  const Object builtin = encode(std::string_view("plain"));
  CHECK(builtin.get<Value>().as<std::string_view>() == "plain");
  Registry::global().remove("text", 3);
  const Lines quiet;
  CHECK(custom.get<Value>().get_if<Unknown>() != nullptr);
}

TEST_CASE("an unknown type or version arrives raw, with one warning, and can be pushed on") {
  Lines lines;
  const Object frame = make(R"({"type":"test.alien","version":7,"legs":[3]})", "payload");
  for (int i = 0; i < 3; ++i) {
    const Value value = frame.get<Value>();
    CHECK(value.type() == "test.alien");
    const auto& unknown = value.as<Unknown>();
    CHECK(unknown.metadata->json["legs"][0] == 3);
    CHECK(unknown.payload.data() == frame.payload().data());
    const Object again = encode(value);
    CHECK(again.metadata_text() == R"({"type":"test.alien","version":7,"legs":[3]})");
    CHECK(frames::payload_text(again) == "payload");
  }
  const auto taken = lines.taken();
  REQUIRE(taken.size() == 1);
  CHECK(taken[0] ==
        "warning: objects of type \"test.alien\" and version 7 arrive as raw bytes with their metadata: "
        "no codec is registered for them");
  const Object newer = make(R"({"type":"test.alien","version":8})");
  CHECK(newer.get<Value>().get_if<Unknown>() != nullptr);
  CHECK(lines.taken().size() == 1);
  CHECK_THROWS_AS((void)frame.get<Custom>(), shmlane::WrongType);
}

TEST_CASE("a version that is none makes a type unknown, not corrupt") {
  const Registered registered;
  const Lines quiet;
  for (const char* version : {"0", "-2", "2.0", "\"2\"", "null", "[2]", "4294967298", "18446744073709551615"}) {
    CAPTURE(version);
    const Object frame = make(std::string(R"({"type":"test.point","name":"x","version":)") + version + "}");
    CHECK(frame.get<Value>().get_if<Unknown>() != nullptr);
  }
  const Object none = make(R"({"type":"test.point","name":"x"})");
  CHECK(none.get<Value>().get_if<Unknown>() != nullptr);
}

TEST_CASE("what a decode function throws reaches the caller") {
  const Registered registered;
  const Object frame = make(R"({"type":"test.point","version":2,"name":"x"})", "short");
  CHECK_THROWS_WITH_AS((void)frame.get<Value>(), "a point has 16 bytes", shmlane::Corrupt);
}

TEST_CASE("registrations that cannot work are refused") {
  Registry registry;
  CHECK_THROWS_AS(registry.add<Point>("", 1, encode_point, decode_point), shmlane::InvalidArgument);
  CHECK_THROWS_AS(registry.add<Point>("\xff", 1, encode_point, decode_point), shmlane::InvalidArgument);
  CHECK_THROWS_AS(registry.add<Point>("point", 0, encode_point, decode_point), shmlane::InvalidArgument);
  struct Stranger {};
  CHECK_THROWS_AS(Custom(Stranger{}, registry), shmlane::UnsupportedType);
  for (const Json& extra : {Json{{"type", "x"}}, Json{{"version", 1}}, Json{1, 2}, Json("text")}) {
    registry.add<Point>(
        "point", 1,
        [&](const Point&) {
          return Encoded{extra, {}};
        },
        decode_point);
    CHECK_THROWS_AS(Custom(Point{}, registry), shmlane::InvalidArgument);
  }
  registry.add<Point>(
      "point", 1,
      [&](const Point&) {
        return Encoded{{{"nan", std::nan("")}}, {}};
      },
      decode_point);
  CHECK_THROWS_AS(encode(Custom(Point{}, registry)), shmlane::InvalidArgument);
}

TEST_CASE("a registry may be used and changed by several threads at once") {
  Registry registry;
  registry.add<Point>("stable", 1, encode_point, decode_point);
  std::atomic<int> right = 0;
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint32_t i = 1; i <= 200; ++i) {
        registry.add<int>(
            "other" + std::to_string(t), i, [](int) { return Encoded{}; },
            [](const Metadata&, std::span<const std::byte>) { return 1; });
        const Custom custom(Point{1, 2, "p"}, registry);
        const auto back = registry.decode({std::make_shared<const Metadata>(custom.metadata()), custom.payload()});
        if (back && back->as<Point>() == Point{1, 2, "p"}) ++right;
        registry.remove("other" + std::to_string(t), i);
      }
    });
  }
  threads.clear();
  CHECK(right == 800);
}

TEST_CASE("the log passes on what is at its level or above") {
  Lines lines;
  shmlane::log(LogLevel::kInfo, "not shown");
  shmlane::log(LogLevel::kError, "shown");
  CHECK(lines.taken() == std::vector<std::string>{"error: shown"});
  shmlane::set_log_level(LogLevel::kDebug);
  CHECK(shmlane::log_enabled(LogLevel::kDebug));
  shmlane::log(LogLevel::kDebug, "now shown");
  CHECK(lines.taken() == std::vector<std::string>{"debug: now shown"});
  shmlane::set_log_level(LogLevel::kOff);
  shmlane::log(LogLevel::kError, "nothing any more");
  CHECK(lines.taken().empty());
}

TEST_CASE("a sink may throw, log and replace itself") {
  const Lines restore;
  int calls = 0;
  shmlane::set_log_sink([&calls](LogLevel level, std::string_view) {
    if (++calls == 1) shmlane::log(level, "again");
    shmlane::set_log_sink([](LogLevel, std::string_view) {});
    throw std::runtime_error("a sink's own fault");
  });
  shmlane::log(LogLevel::kError, "first");
  CHECK(calls >= 1);
  shmlane::log(LogLevel::kError, "second");
  CHECK(calls <= 2);
}
