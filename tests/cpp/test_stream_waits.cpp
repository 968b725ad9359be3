// SPDX-License-Identifier: Apache-2.0
// Waiting for values of streams (SPEC 11.2 and 11.3).
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>
#include <vector>

#include "support/processes.hpp"
#include "support/refusing.hpp"
#include "support/stream_test.hpp"

namespace {

using namespace std::chrono_literals;
using processes::Child;
using processes::expect;
using shmlane::no_wait;
using shmlane::Stream;

constexpr long kFutexWaitv = 449;

TEST_CASE_FIXTURE(StreamTest, "who waits in a stream that is unlinked is woken with Removed") {
  Stream stream = create();
  std::atomic<bool> removed{false};
  std::thread waiter([&] {
    try {
      stream.wait_after(0);
    } catch (const shmlane::Removed&) {
      removed = true;
    }
  });
  std::this_thread::sleep_for(50ms);
  shmlane::unlink_stream(name("s"));
  waiter.join();
  CHECK(removed);
}

TEST_CASE_FIXTURE(StreamTest, "read_new waits for a write after the call, read_after for one after a count") {
  Stream stream = create();
  Stream writer = open();
  writer.write(row(1));
  std::vector<float> out(4);
  const auto bytes = std::as_writable_bytes(std::span(out));
  CHECK(stream.read_new(bytes, 5ms) == std::nullopt);
  CHECK(stream.read_after(0, bytes, no_wait) == 1);
  std::thread later([&] {
    std::this_thread::sleep_for(20ms);
    writer.write(row(2));
  });
  CHECK(stream.read_new(bytes) == 2);
  later.join();
  CHECK(out == row(2));
  CHECK(stream.read_after(2, bytes, 5ms) == std::nullopt);
}

TEST_CASE_FIXTURE(StreamTest, "every sleeper is woken by one write") {
  Stream stream = create();
  std::vector<Child> readers;
  for (int i = 0; i < 5; ++i) {
    readers.emplace_back([&] {
      Stream mine = Stream::open(name("s"), {.spin = 0ns});
      std::vector<float> out(4);
      expect(mine.read_after(0, std::as_writable_bytes(std::span(out))) == 1, "count");
    });
  }
  for (const Child& reader : readers) processes::wait_until([&] { return processes::sleeps(reader.pid()); });
  stream.write(row(1));
  CHECK(processes::join_all(readers) == "");
}

TEST_CASE_FIXTURE(StreamTest, "two processes in ping-pong lose no value") {
  constexpr std::uint64_t kRounds = 20'000;
  Stream ping = create({1});
  Stream pong = Stream::create(name("t"), kFloat, {1});
  Child other([&] {
    Stream in = open();
    Stream out = Stream::open(name("t"));
    std::array<float, 1> value{};
    for (std::uint64_t i = 0; i < kRounds; ++i) {
      expect(in.read_after(i, std::as_writable_bytes(std::span(value)), 10s) == i + 1, "ping");
      out.write(value);
    }
  });
  std::array<float, 1> value{};
  for (std::uint64_t i = 0; i < kRounds; ++i) {
    ping.write(std::array{static_cast<float>(i)});
    REQUIRE(pong.read_after(i, std::as_writable_bytes(std::span(value)), 10s) == i + 1);
    REQUIRE(value[0] == static_cast<float>(i));
  }
  CHECK(other.join() == "");
  CHECK(pong.missed() == 0);
}

TEST_CASE_FIXTURE(StreamTest, "missed counts the values that a handle's reads skipped") {
  Stream stream = create();
  Stream reader = open();
  for (int i = 0; i < 5; ++i) stream.write(row(1));
  read(reader);
  CHECK(reader.missed() == 4);
  read(reader);
  stream.write(row(2));
  read(reader);
  CHECK(reader.missed() == 4);
  CHECK(reader.last_read() == 6);
}

TEST_CASE_FIXTURE(StreamTest, "cancel_wait and close end the waits of other threads") {
  Stream stream = create();
  std::atomic<int> ended{0};
  std::thread first([&] { ended += !stream.wait_after(0); });
  while (ended == 0) {
    stream.cancel_wait();
    std::this_thread::sleep_for(1ms);
  }
  first.join();
  std::thread second([&] {
    try {
      stream.wait_after(0);
    } catch (const shmlane::Closed&) {
      ++ended;
    }
  });
  std::this_thread::sleep_for(20ms);
  stream.close();
  second.join();
  CHECK(ended == 2);
}

TEST_CASE_FIXTURE(StreamTest, "wait_any tells which of several streams have a value that was not read") {
  Stream first = create();
  Stream second = Stream::create(name("t"), kFloat, {4});
  Stream third = Stream::create(name("u"), kFloat, {4});
  const std::array<Stream*, 3> all{&first, &second, &third};
  CHECK(shmlane::wait_any(all, 5ms).empty());
  std::thread writer([&] {
    std::this_thread::sleep_for(20ms);
    Stream::open(name("t")).write(row(1));
  });
  CHECK(shmlane::wait_any(all) == std::vector<std::size_t>{1});
  writer.join();
  third.write(row(1));
  CHECK(shmlane::wait_any(all) == std::vector<std::size_t>{1, 2});
  read(second);
  CHECK(shmlane::wait_any(all) == std::vector<std::size_t>{2});
}

TEST_CASE_FIXTURE(StreamTest, "where the kernel knows no futex_waitv, wait_any wakes all the same") {
  Stream first = create();
  Stream second = Stream::create(name("t"), kFloat, {4});
  Stream third = Stream::create(name("u"), kFloat, {4});
  Child waiter([&] {
    refuse_system_call(kFutexWaitv, ENOSYS);
    Stream a = open();
    Stream b = Stream::open(name("t"));
    const std::array<Stream*, 2> both{&a, &b};
    expect(shmlane::wait_any(both, 5ms).empty(), "nobody has written");
    Stream::open(name("u")).write(row(1));
    expect(shmlane::wait_any(both) == std::vector<std::size_t>{1}, "the second was written");
  });
  third.wait_after(0);
  std::this_thread::sleep_for(20ms);
  second.write(row(2));
  CHECK(waiter.join() == "");
  CHECK(first.count() == 0);
}

}  // namespace
