// SPDX-License-Identifier: Apache-2.0
// How a producer tells that consumers are far away, and what it does then: copies past the caches, and no windows.
#include "distance.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "past_caches.hpp"

namespace {

TEST_CASE("consumers are far after several slow lines, and near again after several quick ones") {
  constexpr std::int64_t kSlow = 120, kQuick = 20;
  shmlane::Distance distance;
  CHECK_FALSE(distance.far());
  for (int i = 0; i < 3; ++i) distance.vote(kSlow);
  CHECK_FALSE(distance.far());
  distance.vote(kSlow);
  CHECK(distance.far());
  for (int i = 0; i < 100; ++i) distance.vote(kSlow);
  for (int i = 0; i < 3; ++i) distance.vote(kQuick);
  CHECK(distance.far());
  distance.vote(kQuick);
  CHECK_FALSE(distance.far());
}

TEST_CASE("a line that was interrupted now and then changes nobody's mind") {
  shmlane::Distance distance;
  for (int i = 0; i < 100; ++i) distance.vote(i % 2 == 0 ? 1'000'000 : 30);
  CHECK_FALSE(distance.far());
}

TEST_CASE("a copy past the caches copies each byte and no other, whatever the length and wherever the source is") {
  constexpr std::size_t kMost = 1000, kGuard = 64;
  constexpr std::byte kUntouched{0xA5};
  std::mt19937 random(4711);
  std::vector<std::byte> source(kMost + kGuard);
  for (std::byte& byte : source) byte = static_cast<std::byte>(random());
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::vector<Line> lines((kMost + kGuard) / sizeof(Line) + 1);
  std::byte* const out = lines.front().bytes;
  for (std::size_t size = 0; size <= kMost; ++size) {
    const std::byte* const from = source.data() + size % kGuard;
    std::fill_n(out, size + kGuard, kUntouched);
    shmlane::copy_past_caches(out, from, size);
    CHECK(std::equal(out, out + size, from));
    CHECK(std::all_of(out + size, out + size + kGuard, [](std::byte byte) { return byte == kUntouched; }));
  }
}

}  // namespace
