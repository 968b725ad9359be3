// SPDX-License-Identifier: Apache-2.0
// The write lock of a stream, between handles, threads and processes (SPEC 11.2).
#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "support/processes.hpp"
#include "support/stream_test.hpp"

namespace {

using namespace std::chrono_literals;
using processes::Child;
using processes::expect;
using shmlane::no_wait;
using shmlane::Stream;

TEST_CASE_FIXTURE(StreamTest, "the thread that holds the lock may take it again and write; nobody else can meanwhile") {
  Stream stream = create();
  Stream other = open();
  CHECK(stream.acquire());
  CHECK(stream.acquire(no_wait));
  CHECK(stream.write_locked(shmlane::NdView::of(kOnes)) == 1);
  CHECK_FALSE(other.acquire(10ms));
  CHECK(other.write(row(2), no_wait) == std::nullopt);
  std::thread([&] { CHECK_FALSE(stream.acquire(10ms)); }).join();
  stream.release();
  CHECK_FALSE(other.acquire(no_wait));
  stream.release();
  CHECK(other.acquire(no_wait));
  other.release();
}

TEST_CASE_FIXTURE(StreamTest, "releasing a lock that one does not hold is an error") {
  Stream stream = create();
  CHECK_THROWS_WITH_AS(stream.release(), doctest::Contains("unlocked"), shmlane::Unlocked);
  CHECK(stream.acquire());
  std::thread([&] { CHECK_THROWS_AS(stream.release(), shmlane::Unlocked); }).join();
  CHECK_THROWS_AS(open().release(), shmlane::Unlocked);
  stream.release();
  CHECK_THROWS_AS(stream.write_locked(shmlane::NdView::of(kOnes)), shmlane::Unlocked);
}

TEST_CASE_FIXTURE(StreamTest, "the live memory is seen under the lock only, and shows the newest value") {
  Stream stream = create();
  CHECK_THROWS_AS(static_cast<void>(stream.live()), shmlane::Unlocked);
  stream.acquire();
  stream.write(row(3));
  CHECK(std::ranges::equal(stream.live().as<float>(), row(3)));
  stream.release();
}

TEST_CASE_FIXTURE(StreamTest, "who waits for the lock is woken when it is given back") {
  Stream stream = create();
  stream.acquire();
  Child waiter([&] {
    Stream mine = open();
    expect(mine.acquire(), "the lock");
    mine.write(row(8));
    mine.release();
  });
  processes::wait_until([&] { return processes::sleeps(waiter.pid()); });
  stream.release();
  CHECK(waiter.join() == "");
  CHECK(read(stream) == row(8));
}

TEST_CASE_FIXTURE(StreamTest, "the death of who holds the lock frees it for who waits") {
  Stream stream = create();
  Child holder([&] {
    Stream mine = open();
    mine.acquire();
    mine.write(row(4));
    std::this_thread::sleep_for(1h);
  });
  processes::wait_until([&] { return stream.count() == 1; });
  std::thread killer([&] {
    std::this_thread::sleep_for(50ms);
    holder.kill();
  });
  CHECK(stream.acquire());
  killer.join();
  CHECK(stream.write(row(5)) == 2);
  stream.release();
  CHECK(read(stream) == row(5));
}

TEST_CASE_FIXTURE(StreamTest, "a handle that closes gives its lock back") {
  Stream stream = create();
  Stream other = open();
  stream.acquire();
  stream.acquire();
  stream.close();
  CHECK(other.acquire(no_wait));
  other.release();
}

TEST_CASE_FIXTURE(StreamTest, "who locks several streams in any order waits for nobody for ever") {
  Stream first = create();
  Stream second = Stream::create(name("t"), kFloat, {4});
  Child other([&] {
    Stream a = open();
    Stream b = Stream::open(name("t"));
    const std::array<Stream*, 2> order{&b, &a};
    for (int i = 0; i < 2000; ++i) expect(shmlane::locked_many(order, 20s).has_value(), "locks");
  });
  const std::array<Stream*, 2> order{&first, &second};
  for (int i = 0; i < 2000; ++i) REQUIRE(shmlane::locked_many(order, 20s).has_value());
  CHECK(other.join() == "");
  const auto locks = shmlane::locked_many(order);
  CHECK(first.locked_here());
  CHECK_FALSE(Stream::open(name("t")).acquire(no_wait));
}

}  // namespace
