// SPDX-License-Identifier: Apache-2.0
// Nobody ever reads a torn value: writers at full speed, writers killed or stopped in mid-write (SPEC 11.3).
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "shmlane/stream.hpp"
#include "support/processes.hpp"
#include "support/shm.hpp"

namespace {

using namespace std::chrono_literals;
using processes::Child;
using processes::expect;
using shmlane::DType;
using shmlane::Stream;

using Words = std::vector<std::uint64_t>;

class TornTest : public ShmTest {
 public:
  ~TornTest() { shmlane::unlink_stream(name("s")); }
  Stream create(std::int64_t words, unsigned slots = 0) const {
    return Stream::create(name("s"), DType::of<std::uint64_t>(), {words}, {.slots = slots});
  }
  Stream open() const { return Stream::open(name("s")); }
};

// The thread sanitizer copies a thousand times as slowly.
constexpr std::int64_t kLarge = kMappingsLookApart ? 1 << 10 : 1 << 17;

// All words of a value are one number.
bool whole(const Words& value) { return std::ranges::count(value, value[0]) == std::ssize(value); }

void write_for_ever(Stream& stream, std::size_t words) {
  Words value(words);
  for (;;) {
    std::ranges::fill(value, value[0] + 1);
    stream.write(value);
  }
}

TEST_CASE_FIXTURE(TornTest, "a reader beside a writer at full speed gets whole values, and ever newer ones") {
  for (const unsigned slots : {3U, 4U, 9U}) {
    for (const std::int64_t words : {std::int64_t{1}, std::int64_t{8}, std::int64_t{512}, kLarge}) {
      Stream stream = create(words, slots);
      Child writer([&] {
        Stream mine = open();
        write_for_ever(mine, static_cast<std::size_t>(words));
      });
      Words value(static_cast<std::size_t>(words));
      std::uint64_t last = 0;
      int steps = 0;
      const auto end = std::chrono::steady_clock::now() + 120ms;
      for (int i = 0; i < 500 || std::chrono::steady_clock::now() < end; ++i) {
        const std::uint64_t count = stream.read(value);
        REQUIRE(whole(value));
        REQUIRE(count >= last);
        steps += count > last;
        last = count;
      }
      CHECK(steps > 0);
      writer.kill();
      stream.unlink();
    }
  }
}

TEST_CASE_FIXTURE(TornTest, "a reader that is slower than the writer is not starved for ever") {
  constexpr std::int64_t kWords = kLarge;  // copied more slowly by a reader that shares its core
  Stream stream = create(kWords, 3);
  std::atomic<bool> done{false};
  std::vector<std::jthread> writers;
  for (int i = 0; i < 2; ++i) {
    writers.emplace_back([&] {
      Stream mine = open();
      while (!done) mine.clear();
    });
  }
  Words value(kWords);
  for (int i = 0; i < 100; ++i) stream.read(value);
  done = true;
  CHECK(whole(value));
}

TEST_CASE_FIXTURE(TornTest, "a writer killed in mid-write leaves the old value, and the next writer goes on") {
  Stream stream = create(1024);
  stream.write(Words(1024, 7));
  Child writer([&] {
    Stream mine = open();
    auto view = mine.write_view();
    std::ranges::fill(view->as<std::uint64_t>().first(500), 8U);
    ::raise(SIGKILL);
  });
  CHECK(writer.join() == "died of signal 9");
  Words value(1024);
  CHECK(stream.read(value) == 1);
  CHECK(value == Words(1024, 7));
  CHECK(stream.stat().write_sequence == 3);
  CHECK(stream.write(Words(1024, 9)) == 2);
  CHECK(stream.stat().write_sequence == 4);
  CHECK(stream.read(value) == 2);
  CHECK(value == Words(1024, 9));
}

TEST_CASE_FIXTURE(TornTest, "a writer that is stopped in mid-write is in no reader's way") {
  Stream stream = create(1024);
  stream.write(Words(1024, 7));
  Child writer([&] {
    Stream mine = open();
    auto view = mine.write_view();
    view->as<std::uint64_t>()[0] = 8;
    ::raise(SIGSTOP);
    view->commit();
  });
  processes::wait_until([&] { return stream.stat().write_sequence == 3; });
  Words value(1024);
  for (int i = 0; i < 1000; ++i) CHECK(stream.read(value) == 1);
  CHECK(value == Words(1024, 7));
  CHECK_FALSE(stream.write(Words(1024, 9), 50ms));
  writer.kill();
  CHECK(stream.write(Words(1024, 9)) == 2);
}

TEST_CASE_FIXTURE(TornTest, "a reader that is stopped in mid-read is in no writer's way") {
  Stream stream = create(kLarge);
  stream.write(Words(kLarge, 7));
  Child reader([&] {
    // Its copy runs into a page that may not be written, and there it is stopped.
    ::signal(SIGSEGV, [](int) { ::raise(SIGSTOP); });
    const auto size = static_cast<std::size_t>(kLarge) * sizeof(std::uint64_t);
    void* const out = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ::mprotect(static_cast<std::byte*>(out) + size / 2, size / 2, PROT_NONE);
    open().read(std::span(static_cast<std::byte*>(out), size));
  });
  processes::wait_until([&] { return processes::stopped(reader.pid()); });
  for (std::uint64_t i = 2; i < 20; ++i) CHECK(stream.write(Words(kLarge, i), 0ns) == i);
  Words value(kLarge);
  CHECK(stream.read(value) == 19);
  reader.kill();
  CHECK(stream.write(Words(kLarge, 1), 0ns) == 20);
}

TEST_CASE_FIXTURE(TornTest, "writers killed at random moments never leave a torn value") {
  for (const std::int64_t words : {8LL, 4096LL}) {
    Stream stream = create(words);
    Words value(static_cast<std::size_t>(words));
    for (int round = 0; round < 25; ++round) {
      Child writer([&] {
        Stream mine = open();
        write_for_ever(mine, static_cast<std::size_t>(words));
      });
      const std::uint64_t before = stream.count();
      processes::wait_until([&] { return stream.count() > before + 10; });
      const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(137 * round);
      do {
        stream.read(value);
        REQUIRE(whole(value));
      } while (std::chrono::steady_clock::now() < end);
      writer.kill();
      stream.read(value);
      REQUIRE(whole(value));
      REQUIRE(stream.write(value, 5s));
    }
    stream.unlink();
  }
}

TEST_CASE_FIXTURE(TornTest, "threads that share one handle write one at a time and read whole values") {
  constexpr std::size_t kWords = 64;
  Stream stream = create(kWords);
  constexpr std::uint64_t kWrites = 2000;
  std::atomic<bool> torn{false};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      for (std::uint64_t k = 0; k < kWrites; ++k) stream.write(Words(kWords, 2 * k + static_cast<unsigned>(i)));
    });
    threads.emplace_back([&] {
      Words value(kWords);
      while (stream.read(value) < 2 * kWrites) torn = torn || !whole(value);
    });
  }
  threads.clear();
  CHECK_FALSE(torn);
  CHECK(stream.count() == 2 * kWrites);
}

}  // namespace
