// SPDX-License-Identifier: Apache-2.0
// How a producer finds the quickest way of writing, and the copy past the caches.
#include "write_way.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <random>
#include <utility>
#include <vector>

#include "past_caches.hpp"

namespace {

using shmlane::QuickestWay;
using shmlane::WriteWay;

// A handle that writes slice after slice, each in the time that its way takes there.
class World {
 public:
  using Paces = std::array<double, 3>;  // ns per byte, by way

  explicit World(Paces paces) : paces_(paces) {}
  void change(Paces paces) { paces_ = paces; }
  // Returns how many of the slices each way wrote.
  std::array<int, 3> write(int slices) {
    std::array<int, 3> found{};
    for (int i = 0; i < slices; ++i) {
      const auto index = static_cast<std::size_t>(way.now());
      ++found[index];
      written_ += QuickestWay::kSlice;
      taken_ += QuickestWay::kSlice - std::exchange(backlog_, 0);
      now_ += static_cast<std::int64_t>(paces_[index] * static_cast<double>(QuickestWay::kSlice));
      if (way.due(written_) && way.note(written_, taken_, now_)) ++changes;
    }
    return found;
  }

  // Of the next slice, consumers take so much less.
  void fill_up(std::uint64_t backlog) { backlog_ = backlog; }

  QuickestWay way;
  int changes = 0;

 private:
  Paces paces_;
  std::uint64_t written_ = 0, taken_ = 0, backlog_ = 0;
  std::int64_t now_ = 1'000'000'000;
};

constexpr int kLearning = 32;  // slices

TEST_CASE("the quickest way is found within half a gibibyte, whichever it is") {
  for (const WriteWay quickest : {WriteWay::kWindows, WriteWay::kAround, WriteWay::kPastCaches}) {
    for (const double others : {0.08, 0.12, 0.3}) {
      World::Paces paces{others, others, others};
      paces[static_cast<std::size_t>(quickest)] = 0.07;
      World world(paces);
      world.write(kLearning);
      CHECK(world.way.now() == quickest);
    }
  }
}

TEST_CASE("ways that are about as quick do not take turns") {
  World world({0.1, 0.098, 0.099});
  world.write(10'000);
  CHECK(world.way.now() == WriteWay::kWindows);
  CHECK(world.write(1000)[0] > 960);
}

TEST_CASE("trying others takes a hundredth of the time, and what is hopeless is given up at once") {
  World world({0.06, 0.07, 0.14});
  world.write(2000);
  const std::array<int, 3> found = world.write(10'000);
  CHECK(found[0] > 9900);
  CHECK(found[1] > 0);
  CHECK(found[2] > 0);
  CHECK(found[2] < found[1]);
}

TEST_CASE("when the machine changes, the way changes within some gibibytes") {
  World world({0.06, 0.07, 0.14});
  world.write(10'000);
  CHECK(world.way.now() == WriteWay::kWindows);
  world.change({0.14, 0.12, 0.06});
  world.write(2 * (QuickestWay::kLongestPause + kLearning));
  CHECK(world.way.now() == WriteWay::kPastCaches);
  world.change({0.06, 0.12, 0.14});
  world.write(2 * (QuickestWay::kLongestPause + kLearning));
  CHECK(world.way.now() == WriteWay::kWindows);
}

TEST_CASE("a way that only fills the ring quicker is not the quickest") {
  World world({0.08, 0.05, 0.05});
  for (int i = 0; i < 1000; ++i) {
    const bool trying = world.way.now() != WriteWay::kWindows;
    if (trying) world.fill_up(QuickestWay::kSlice * 3 / 8);
    world.write(1);
  }
  CHECK(world.way.now() == WriteWay::kWindows);
  CHECK(world.changes > 2);
  CHECK(world.changes % 2 == 0);
}

TEST_CASE("who writes little and seldom tries nothing") {
  World world({5, 1, 1});
  CHECK(world.write(1000)[0] == 1000);
}

TEST_CASE("a way that was asked for stays") {
  const QuickestWay way(WriteWay::kAround);
  CHECK_FALSE(way.due(std::uint64_t{1} << 40));
  CHECK(way.now() == WriteWay::kAround);
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
