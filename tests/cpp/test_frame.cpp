// SPDX-License-Identifier: Apache-2.0
// Frames written, read back, and damaged in every way that memory shared with others can be (SPEC section 4).
#include "shmlane/frame.hpp"

#include <doctest/doctest.h>
#include <sys/mman.h>

#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "shmlane/codec.hpp"
#include "shmlane/error.hpp"
#include "shmlane/object.hpp"
#include "support/aligned_bytes.hpp"

namespace {

using namespace shmlane;

constexpr std::uint64_t kSegment = 0xfeedfacecafebeef;
constexpr std::uint64_t kPosition = 0x40000;
constexpr std::string_view kMetadata = R"({"type":"bytes"})";

AlignedBytes make_frame(std::string_view metadata, std::string_view payload, std::uint64_t spare = 0) {
  FrameExtents extents = frame_extents(metadata.size(), payload.size());
  extents.extent += spare;
  AlignedBytes frame(extents.extent);
  open_frame(frame.data(), kSegment, kPosition, extents.extent);
  write_frame(frame.data(), extents, metadata);
  if (!payload.empty()) std::memcpy(frame.data() + extents.payload_offset, payload.data(), payload.size());
  return frame;
}

FrameView parse(const AlignedBytes& frame) { return parse_frame(frame.data(), frame.size(), kSegment, kPosition); }

std::string_view text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST_CASE("a frame is read back as it was written, whatever the lengths") {
  for (std::size_t metadata_size = 2; metadata_size < 150; ++metadata_size) {
    std::string metadata(metadata_size, 'm');
    metadata.front() = '{';
    metadata.back() = '}';
    for (const std::size_t payload_size : {0, 1, 63, 64, 65, 1000}) {
      const std::string payload(payload_size, 'p');
      const AlignedBytes frame = make_frame(metadata, payload);
      const FrameView view = parse(frame);
      REQUIRE(view.metadata == metadata);
      REQUIRE(text(view.payload) == payload);
      REQUIRE(reinterpret_cast<std::uintptr_t>(view.payload.data()) % wire::kAlignment == 0);
      REQUIRE(frame.size() % wire::kAlignment == 0);
      REQUIRE(checked_extent(frame.data(), frame.size(), kSegment, kPosition) == frame.size());
    }
  }
}

TEST_CASE("a frame may be longer than what was committed into it") {
  const AlignedBytes frame = make_frame(kMetadata, "small", 4096);
  CHECK(text(parse(frame).payload) == "small");
  CHECK(checked_extent(frame.data(), frame.size(), kSegment, kPosition) == frame.size());
}

TEST_CASE("the payload keeps its place when shorter metadata is committed") {
  AlignedBytes frame = make_frame(std::string(R"({"type":"bytes","note":"this was reserved"})"), "payload");
  FrameExtents extents = frame_extents(43, 7);
  extents.metadata_size = kMetadata.size();
  write_frame(frame.data(), extents, kMetadata);
  CHECK(parse(frame).metadata == kMetadata);
  CHECK(text(parse(frame).payload) == "payload");
}

TEST_CASE("every single inverted bit in lengths and sentinels is found") {
  const AlignedBytes frame = make_frame(kMetadata, std::string(1000, 'p'), 512);
  const std::size_t close = wire::payload_offset(kMetadata.size()) - wire::kSentinelSize;
  REQUIRE_NOTHROW(static_cast<void>(parse(frame)));
  const auto check_byte = [&](std::size_t at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      const std::byte mask{static_cast<unsigned char>(1U << bit)};
      frame.data()[at] ^= mask;
      CHECK_THROWS_AS(static_cast<void>(parse(frame)), Corrupt);
      frame.data()[at] ^= mask;
    }
  };
  for (std::size_t at = offsetof(wire::FrameHeader, open_sentinel); at < wire::kMetadataOffset; ++at) check_byte(at);
  for (std::size_t at = close; at < close + wire::kSentinelSize; ++at) check_byte(at);
  CHECK_NOTHROW(static_cast<void>(parse(frame)));
}

TEST_CASE("a frame is not recognised at any other place than its own") {
  const AlignedBytes frame = make_frame(kMetadata, "payload");
  for (std::uint64_t shift = 64; shift <= 1 << 20; shift += 64) {
    REQUIRE(checked_extent(frame.data(), frame.size(), kSegment, kPosition + shift) == 0);
    REQUIRE(checked_extent(frame.data(), frame.size(), kSegment, kPosition - shift) == 0);
  }
  CHECK(checked_extent(frame.data(), frame.size(), kSegment + 1, kPosition) == 0);
}

TEST_CASE("zeros are never a frame") {
  const AlignedBytes zeros(4096);
  for (const std::uint64_t segment : {std::uint64_t{0}, kPosition, kSegment}) {
    CHECK_THROWS_AS(static_cast<void>(parse_frame(zeros.data(), zeros.size(), segment, kPosition)), Corrupt);
    CHECK(checked_extent(zeros.data(), zeros.size(), segment, kPosition) == 0);
  }
}

TEST_CASE("the error says which rule is broken and where") {
  const AlignedBytes frame = make_frame(kMetadata, "payload");
  try {
    static_cast<void>(parse_frame(frame.data(), frame.size(), kSegment, 128));
    FAIL("no error");
  } catch (const Corrupt& error) {
    const std::string what = error.what();
    CHECK(what.find("position 128") != what.npos);
    CHECK(what.find("W-21") != what.npos);
  }
}

// Two pages, of which only the first may be touched.
class GuardedPage {
 public:
  GuardedPage() : memory_(::mmap(nullptr, 2 * wire::kPageSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    REQUIRE(memory_ != MAP_FAILED);
    REQUIRE(::mprotect(memory_, wire::kPageSize, PROT_READ | PROT_WRITE) == 0);
  }
  GuardedPage(const GuardedPage&) = delete;
  GuardedPage& operator=(const GuardedPage&) = delete;
  ~GuardedPage() { ::munmap(memory_, 2 * wire::kPageSize); }
  [[nodiscard]] std::byte* end() const noexcept { return static_cast<std::byte*>(memory_) + wire::kPageSize; }

 private:
  void* memory_;
};

// A length near a border of something, or anything at all.
std::uint64_t draw_length(std::mt19937_64& random, std::uint64_t available) {
  const std::uint64_t choices[] = {0,
                                   1,
                                   64,
                                   128,
                                   available,
                                   available + 64,
                                   available - 64,
                                   random() % 1024,
                                   std::numeric_limits<std::uint64_t>::max() - random() % 128,
                                   random()};
  return choices[random() % std::size(choices)];
}

TEST_CASE("no lengths, with sentinels that fit them, make a reader leave the ring") {
  const GuardedPage page;
  std::mt19937_64 random(20261121);
  std::size_t sound = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t available = 64 * (1 + random() % 8);
    std::byte* const frame = page.end() - available;
    FrameExtents lie{};
    lie.extent = random() % 2 == 0 ? available : draw_length(random, available);
    lie.payload_offset = static_cast<std::uint32_t>(random() % 2 == 0 ? 64 : draw_length(random, available));
    lie.payload_size = draw_length(random, available);
    lie.metadata_size = static_cast<std::uint32_t>(random() % 2 == 0 ? 16 : draw_length(random, available));
    open_frame(frame, kSegment, kPosition, lie.extent);
    const bool inside = lie.payload_offset >= 64 && lie.payload_offset <= available && lie.payload_offset % 8 == 0;
    if (inside) {
      write_frame(frame, lie, kMetadata);
    } else {
      auto& header = *reinterpret_cast<wire::FrameHeader*>(frame);
      header.payload_size = lie.payload_size;
      header.metadata_size = lie.metadata_size;
      header.payload_offset = lie.payload_offset;
    }
    try {
      const FrameView view = parse_frame(frame, available, kSegment, kPosition);
      const auto* const metadata = reinterpret_cast<const std::byte*>(view.metadata.data());
      REQUIRE(metadata + view.metadata.size() + wire::kSentinelSize <= view.payload.data());
      REQUIRE(view.payload.data() + view.payload.size() <= page.end());
      ++sound;
    } catch (const Corrupt&) {  // what most of them are
    }
  }
  CHECK(sound > 1000);
}

TEST_CASE("lengths beyond every memory are refused before anything is reserved") {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  for (const std::uint64_t size : {kMost, kMost / 2, kMost / 2 - 100}) {
    CHECK_THROWS_AS(static_cast<void>(frame_extents(16, size)), TooLarge);
  }
  for (const std::uint64_t size : {kMost, std::uint64_t{1} << 32, (std::uint64_t{1} << 32) - 64}) {
    CHECK_THROWS_AS(static_cast<void>(frame_extents(size, 0)), TooLarge);
  }
  const std::uint64_t most_metadata = (std::uint64_t{1} << 32) - 64 - 48;
  CHECK(frame_extents(most_metadata, 0).payload_offset == (std::uint64_t{1} << 32) - 64);
  CHECK(frame_extents(16, std::uint64_t{1} << 46).extent == (std::uint64_t{1} << 46) + 64);
}

// ---- Objects -------------------------------------------------------------------------------------------------------

TEST_CASE("an object owns a copy of its frame, its payload aligned") {
  std::string metadata(kMetadata);
  std::string payload(100, 'p');
  const Object object({metadata, std::as_bytes(std::span(payload))}, 2);
  metadata.assign(metadata.size(), 'x');
  payload.assign(payload.size(), 'x');
  CHECK(object.metadata_text() == kMetadata);
  CHECK(text(object.payload()) == std::string(100, 'p'));
  CHECK(reinterpret_cast<std::uintptr_t>(object.payload().data()) % wire::kAlignment == 0);
  CHECK(object.attempt() == 2);
  CHECK(object.type() == "bytes");
}

TEST_CASE("an object without payload is an object") {
  const Object object({kMetadata, {}}, 0);
  CHECK(object.payload().empty());
  CHECK(object.type() == "bytes");
}

TEST_CASE("an object that was moved away is closed, its memory is where it was") {
  Object object = Object::allocate(kMetadata, 10);
  std::memset(object.writable_payload().data(), 'p', 10);
  const auto* const address = object.payload().data();
  const Object other = std::move(object);
  CHECK(other.payload().data() == address);
  CHECK_THROWS_AS(static_cast<void>(object.payload()), Closed);   // NOLINT(bugprone-use-after-move)
  CHECK_THROWS_AS(static_cast<void>(object.metadata()), Closed);  // NOLINT(bugprone-use-after-move)
  CHECK(object.writable_payload().empty());                       // NOLINT(bugprone-use-after-move)
  const Object empty;
  CHECK_THROWS_AS(static_cast<void>(empty.payload()), Closed);
}

// ---- Metadata ------------------------------------------------------------------------------------------------------

TEST_CASE("the same metadata is parsed once") {
  const std::string text = R"({"type":"a","n":1})";
  const auto first = parse_metadata(text);
  CHECK(first->type == "a");
  CHECK(first->json["n"] == 1);
  CHECK(parse_metadata(std::string(text)) == first);
}

TEST_CASE("metadata that changes in place is parsed anew") {
  std::string text = R"({"type":"a","n":1})";
  const auto first = parse_metadata(text);
  text[text.size() - 2] = '2';
  CHECK(parse_metadata(text)->json["n"] == 2);
  CHECK(first->json["n"] == 1);
}

TEST_CASE("only a few texts are remembered, and none that is long") {
  const std::string text = R"({"type":"remembered"})";
  const auto first = parse_metadata(text);
  for (int i = 0; i < 100; ++i) static_cast<void>(parse_metadata(R"({"type":"other","n":)" + std::to_string(i) + "}"));
  CHECK(parse_metadata(text) != first);
  const std::string long_text = R"({"type":")" + std::string(100'000, 't') + R"("})";
  CHECK(parse_metadata(long_text) != parse_metadata(long_text));
  CHECK(parse_metadata(long_text)->type.size() == 100'000);
}

TEST_CASE("what one thread remembers is no other thread's") {
  const std::string text = R"({"type":"of this thread"})";
  const auto here = parse_metadata(text);
  std::shared_ptr<const Metadata> there;
  std::thread([&] { there = parse_metadata(text); }).join();
  CHECK(there != here);
  CHECK(there->type == here->type);
}

TEST_CASE("text that is no metadata is Corrupt, again and again") {
  for (const std::string& bad :
       {std::string(), std::string("[]"), std::string("{"), std::string(R"({"a":1})"), std::string(R"({"type":2})"),
        std::string("{\"type\":\"\xff\"}"), std::string("{}{}"), std::string(R"( {"type":"bytes"})")}) {
    CHECK_THROWS_AS(static_cast<void>(parse_metadata(bad)), Corrupt);
    CHECK_THROWS_AS(static_cast<void>(parse_metadata(bad)), Corrupt);
  }
}

}  // namespace
