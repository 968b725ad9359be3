// SPDX-License-Identifier: Apache-2.0
// Every vector of wire-format/vectors/v1 is read, or refused, as it says: the C++ implementation against SPEC.md.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <boost/crc.hpp>
#include <fstream>
#include <sstream>
#include <string>

#include "shmlane/codec.hpp"
#include "shmlane/error.hpp"
#include "shmlane/frame.hpp"
#include "shmlane/stdio.hpp"
#include "shmlane/value.hpp"
#include "support/aligned_bytes.hpp"
#include "support/watchdog.hpp"

namespace {

using namespace shmlane;

const std::string kRoot = SHMLANE_SOURCE_DIR "/wire-format/vectors/v1/";

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file, "cannot read ", path);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

Json read_json(const std::string& path) { return Json::parse(read_file(path)); }

// Calls check(facts, path of the bytes) for each vector of a group.
template <class Check>
void for_each_vector(const std::string& group, Check&& check) {
  const Json names = read_json(kRoot + "index.json").at(group);
  REQUIRE(names.size() > 5);
  for (const std::string name : names) {
    CAPTURE(name);
    const std::string path = kRoot + group + "/" + name;
    check(read_json(path + ".json"), path + ".bin");
  }
}

std::uint64_t number(const Json& hex) { return std::stoull(hex.get<std::string>(), nullptr, 16); }

std::string hex(std::span<const std::byte> bytes) {
  std::ostringstream out;
  for (const std::byte byte : bytes) {
    out << "0123456789abcdef"[std::to_integer<unsigned>(byte) >> 4];
    out << "0123456789abcdef"[std::to_integer<unsigned>(byte) & 15];
  }
  return out.str();
}

void check_payload(std::span<const std::byte> payload, const Json& expected) {
  if (expected.contains("hex")) {
    CHECK(hex(payload) == expected["hex"]);
    return;
  }
  CHECK(payload.size() == expected.at("size"));
  boost::crc_32_type crc;
  crc.process_bytes(payload.data(), payload.size());
  CHECK(crc.checksum() == number(expected.at("crc32")));
}

wire::FrameState state_named(const std::string& name) {
  const Json states = read_json(SHMLANE_SOURCE_DIR "/wire-format/layout.json")["enums"]["FrameState"]["values"];
  return static_cast<wire::FrameState>(states.at(name).get<int>());
}

// The name of the error that `act` throws, and its text.
template <class Act>
std::pair<std::string, std::string> error_of(Act&& act) {
  try {
    act();
  } catch (const Error& error) {
    return {error_name(error.code()), error.what()};
  }
  return {"none", ""};
}

TEST_CASE("every valid frame is read as its vector says") {
  for_each_vector("frame/valid", [](const Json& facts, const std::string& path) {
    const AlignedBytes frame(read_file(path));
    const std::uint64_t segment_id = number(facts["segment_id"]);
    const std::uint64_t position = number(facts["position"]);
    const auto& header = *reinterpret_cast<const wire::FrameHeader*>(frame.data());
    const std::uint64_t control = header.control;
    CHECK((control & 0xff) == static_cast<std::uint64_t>(state_named(facts["control"]["state"])));
    CHECK((control >> 8 & 0xff) == facts["control"]["attempt"]);
    CHECK((control >> 16) == number(facts["control"]["owner"]));
    CHECK(header.payload_offset == facts["payload_offset"]);
    CHECK(checked_extent(frame.data(), frame.size(), segment_id, position) == facts["extent"]);
    const FrameView view = parse_frame(frame.data(), frame.size(), segment_id, position);
    CHECK(view.metadata == facts["metadata_text"].get<std::string>());
    CHECK(parse_metadata(view.metadata)->json == facts["metadata"]);
    check_payload(view.payload, facts["payload"]);
  });
}

TEST_CASE("every object in a valid frame has the type that its metadata says") {
  for_each_vector("frame/valid", [](const Json& facts, const std::string& path) {
    const AlignedBytes frame(read_file(path));
    const FrameView view =
        parse_frame(frame.data(), frame.size(), number(facts["segment_id"]), number(facts["position"]));
    const auto metadata = parse_metadata(view.metadata);
    const Value value = Codec<Value>::read(*metadata, view.payload);
    CHECK(value.type() == metadata->type);
    const bool foreign = metadata->json.contains("version") || metadata->type == "pickle" || metadata->type == "custom";
    CHECK((value.get_if<Unknown>() != nullptr) == foreign);
  });
}

TEST_CASE("frames as C++ writes them are the bytes of the vectors") {
  for_each_vector("frame/valid", [](const Json& facts, const std::string& path) {
    const std::string expected = read_file(path);
    const AlignedBytes source(expected);
    const std::uint64_t segment_id = number(facts["segment_id"]);
    const std::uint64_t position = number(facts["position"]);
    const FrameView view = parse_frame(source.data(), source.size(), segment_id, position);
    const FrameExtents extents = frame_extents(view.metadata.size(), view.payload.size());
    // Others were committed into more room than they need.
    if (extents.extent != facts["extent"] || extents.payload_offset != facts["payload_offset"]) return;
    const AlignedBytes frame(extents.extent);
    open_frame(frame.data(), segment_id, position, extents.extent);
    write_frame(frame.data(), extents, view.metadata);
    std::copy(view.payload.begin(), view.payload.end(), frame.data() + extents.payload_offset);
    std::memcpy(frame.data(), source.data(), sizeof(wire::FrameHeader::control));
    const std::string_view written(reinterpret_cast<const char*>(frame.data()), frame.size());
    CHECK(written == expected);
  });
}

TEST_CASE("every invalid frame is refused for the fault that its vector has") {
  for_each_vector("frame/invalid", [](const Json& facts, const std::string& path) {
    const AlignedBytes frame(read_file(path));
    const std::string stage = facts["stage"];
    const std::uint64_t position = number(facts["position"]);
    const auto parse = [&] { return parse_frame(frame.data(), frame.size(), number(facts["segment_id"]), position); };
    const auto [error, what] = error_of([&] {
      const FrameView view = parse();
      if (stage == "frame") return;
      const auto metadata = parse_metadata(view.metadata);
      if (stage == "object") static_cast<void>(Codec<Value>::read(*metadata, view.payload));
    });
    CHECK(error == facts["error"]);
    CAPTURE(what);
    if (stage == "frame") {
      CHECK(what.find(facts["rule"].get<std::string>()) != what.npos);
      CHECK(what.find("position " + std::to_string(position)) != what.npos);
    } else {
      CHECK_NOTHROW(static_cast<void>(parse()));
      if (stage == "object") CHECK_NOTHROW(static_cast<void>(parse_metadata(parse().metadata)));
    }
  });
}

class OpenFile {
 public:
  explicit OpenFile(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) { REQUIRE(fd_ >= 0); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { ::close(fd_); }
  [[nodiscard]] int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

void check_frames(StdioConsumer& consumer, const Json& frames) {
  for (const Json& expected : frames) {
    Taken<Object> taken = consumer.pop();
    REQUIRE(taken);
    const Object& object = *taken;
    CHECK(object.metadata_text() == expected["metadata_text"].get<std::string>());
    check_payload(object.payload(), expected["payload"]);
    CHECK(reinterpret_cast<std::uintptr_t>(object.payload().data()) % wire::kAlignment == 0);
  }
}

TEST_CASE("every valid stream gives its frames and then the end") {
  const Watchdog watchdog;
  for_each_vector("stdio/valid", [](const Json& facts, const std::string& path) {
    const OpenFile file(path);
    StdioConsumer consumer(file.fd());
    check_frames(consumer, facts["frames"]);
    CHECK(consumer.pop().ended());
    CHECK(consumer.pop().ended());
    CHECK(consumer.offset() == facts["bytes_read"]);
    CHECK(::lseek(file.fd(), 0, SEEK_CUR) == facts["bytes_read"]);
  });
}

TEST_CASE("every invalid stream gives its sound frames and then its error") {
  const Watchdog watchdog;
  for_each_vector("stdio/invalid", [](const Json& facts, const std::string& path) {
    const OpenFile file(path);
    StdioConsumer consumer(file.fd(), facts.value("max_frame", kDefaultMaxFrame));
    check_frames(consumer, facts["frames"]);
    const auto [error, what] = error_of([&] { static_cast<void>(consumer.pop()); });
    CAPTURE(what);
    CHECK(error == facts["error"]);
    CHECK(what.find("byte " + std::to_string(facts["error_offset"].get<std::uint64_t>())) != what.npos);
    CHECK(what.find(facts["rule"].get<std::string>()) != what.npos);
  });
}

}  // namespace
