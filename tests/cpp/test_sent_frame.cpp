// SPDX-License-Identifier: Apache-2.0
// What a producer sees of a frame after its commit.
#include <unistd.h>

#include <csignal>
#include <optional>
#include <thread>

#include "shmlane/codecs.hpp"
#include "shmlane/error.hpp"
#include "shmlane/queue.hpp"
#include "support/processes.hpp"
#include "support/shm.hpp"

namespace {

using namespace std::chrono_literals;
using processes::Child;
using shmlane::Consumer;
using shmlane::Producer;
using shmlane::SentFrame;

constexpr std::string_view kBytes = R"({"type":"bytes"})";

SentFrame send(Producer& producer, std::uint64_t size = 8) {
  auto reservation = producer.reserve(kBytes, size);
  REQUIRE(reservation);
  SentFrame sent(*reservation);
  CHECK(sent.in_use());
  reservation->commit();
  return sent;
}

TEST_CASE_FIXTURE(ShmTest, "a sent frame is in use until its consumer releases it") {
  Consumer consumer(name(), {{.capacity = 65536}});
  Producer producer(name());
  const SentFrame sent = send(producer);
  auto lease = consumer.acquire();
  REQUIRE(lease);
  CHECK(sent.in_use());
  lease->release();
  CHECK_FALSE(sent.in_use());
}

TEST_CASE_FIXTURE(ShmTest, "a reservation that was given back is not in use") {
  Consumer consumer(name(), {{.capacity = 65536}});
  Producer producer(name());
  auto reservation = producer.reserve(kBytes, 8);
  const SentFrame sent(*reservation);
  reservation->abort();
  CHECK_FALSE(sent.in_use());
  CHECK_THROWS_AS(SentFrame{*reservation}, shmlane::Closed);
}

TEST_CASE_FIXTURE(ShmTest, "a frame that was finished long ago is not taken for the one in its place") {
  Consumer consumer(name(), {{.capacity = 4096}});
  Producer producer(name());
  const SentFrame first = send(producer);
  CHECK(consumer.pop(1s));
  for (int i = 0; i < 100; ++i) {
    const SentFrame next = send(producer, 1000);
    CHECK_FALSE(first.in_use());
    CHECK(next.in_use());
    CHECK(consumer.pop(1s));
    CHECK_FALSE(next.in_use());
  }
}

TEST_CASE_FIXTURE(ShmTest, "a frame that a policy dropped is not in use") {
  Consumer consumer(name(), {{.capacity = 65536}});
  Producer producer(name(), {{}, shmlane::Policy::kDropOldest, 1s, 1});
  const SentFrame oldest = send(producer);
  const SentFrame newest = send(producer);
  CHECK_FALSE(oldest.in_use());
  CHECK(newest.in_use());
  CHECK(consumer.pop(1s));
}

TEST_CASE_FIXTURE(ShmTest, "what a dead consumer held is in use until a living one has released it") {
  Producer producer(name(), {{.capacity = 65536}, shmlane::Policy::kBlock, shmlane::forever});
  std::optional<SentFrame> sent;
  Child child([&] {
    Consumer consumer(name());
    auto lease = consumer.acquire();
    ::raise(SIGKILL);
  });
  sent.emplace(send(producer));
  CHECK_FALSE(child.join().empty());
  Consumer consumer(name());
  CHECK(sent->in_use());
  auto lease = consumer.acquire(5s);
  REQUIRE(lease);
  CHECK(lease->attempt() == 1);
  lease->release();
  CHECK_FALSE(sent->in_use());
}

TEST_CASE_FIXTURE(ShmTest, "a producer that closes is alive to the others until its sent frames are let go") {
  Consumer consumer(name(), {{.capacity = 65536}});
  std::optional<Producer> producer(name());
  const std::uint64_t id = producer->participant();
  std::optional<SentFrame> sent(send(*producer));
  producer.reset();
  CHECK(consumer.is_alive(id));
  CHECK(consumer.pop(1s));
  CHECK(consumer.pop(1s).ended());
  sent.reset();
  CHECK_FALSE(consumer.is_alive(id));
}

TEST_CASE_FIXTURE(ShmTest, "a producer can wait until a frame was given back") {
  Consumer consumer(name(), {{.capacity = 65536}});
  Producer producer(name());
  const SentFrame sent = send(producer);
  const auto done = [&] { return !sent.in_use(); };
  CHECK_FALSE(producer.wait_for_releases(done, shmlane::no_wait));
  CHECK_FALSE(producer.wait_for_releases(done, 20ms));
  std::jthread releaser([&] {
    std::this_thread::sleep_for(20ms);
    CHECK(consumer.pop(1s));
  });
  CHECK(producer.wait_for_releases(done, 30s));
}

}  // namespace
