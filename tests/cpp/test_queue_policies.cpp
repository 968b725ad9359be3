// SPDX-License-Identifier: Apache-2.0
// Full rings: blocking, dropping, limits in bytes and objects, batches; and producers without consumers.
#include <atomic>
#include <thread>

#include "shmlane/error.hpp"
#include "shmlane/queue.hpp"
#include "support/payloads.hpp"
#include "support/processes.hpp"
#include "support/shm.hpp"

namespace {

using namespace std::chrono_literals;
using payloads::text;
using processes::Child;
using shmlane::Consumer;
using shmlane::Policy;
using shmlane::Producer;
using shmlane::PushResult;

constexpr std::string_view kBytes = R"({"type":"bytes"})";
constexpr std::uint32_t kFramesPerPage = 4096 / 128;  // with stamped payloads of 64 bytes

std::uint32_t sequence(shmlane::Taken<shmlane::Object> object) {
  REQUIRE(object);
  return payloads::check_stamped(object->payload()).sequence;
}

PushResult push(Producer& producer, std::uint32_t number, shmlane::Timeout timeout = shmlane::no_wait) {
  return payloads::push_stamped(producer, {0, number}, 64, timeout);
}

TEST_CASE_FIXTURE(ShmTest, "a ring takes exactly its capacity, then is full, and gives all back in order") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  for (std::uint32_t lap = 0; lap < 40; ++lap) {
    for (std::uint32_t i = 0; i < kFramesPerPage; ++i) REQUIRE(push(producer, i) == PushResult::kPushed);
    CHECK(push(producer, 99) == PushResult::kFull);
    CHECK(producer.size() == kFramesPerPage);
    CHECK(producer.stat().used == 4096);
    for (std::uint32_t i = 0; i < kFramesPerPage; ++i) CHECK(sequence(consumer.try_pop()) == i);
    CHECK(consumer.try_pop().empty());
    CHECK(producer.size() == 0);
    CHECK(producer.stat().used == 0);
    CHECK(push(producer, 7) == PushResult::kPushed);  // so that each lap begins one frame further on
    CHECK(sequence(consumer.try_pop()) == 7);
  }
}

TEST_CASE_FIXTURE(ShmTest, "a full ring of empty payloads is told from an empty ring") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  unsigned pushed = 0;
  while (producer.try_push("") == PushResult::kPushed) ++pushed;
  CHECK(pushed == 4096 / 64);
  unsigned popped = 0;
  while (consumer.try_pop()) ++popped;
  CHECK(popped == pushed);
}

TEST_CASE_FIXTURE(ShmTest, "a push into a full ring waits for as long as it was told, never less") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  while (push(producer, 0) == PushResult::kPushed) continue;
  for (const auto timeout : {0ms, 1ms, 30ms, 130ms}) {
    const auto begin = std::chrono::steady_clock::now();
    CHECK(push(producer, 1, timeout) == PushResult::kFull);
    CHECK(std::chrono::steady_clock::now() - begin >= timeout);
  }
  CHECK(push(producer, 1, -1s) == PushResult::kFull);
  while (consumer.try_pop()) continue;
  for (const auto timeout : {0ms, 1ms, 30ms, 130ms}) {
    const auto begin = std::chrono::steady_clock::now();
    CHECK(consumer.pop(timeout).empty());
    CHECK(std::chrono::steady_clock::now() - begin >= timeout);
  }
}

TEST_CASE_FIXTURE(ShmTest, "a full ring that only waits for slow consumers names nobody") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  while (push(producer, 0) == PushResult::kPushed) continue;
  const std::string why = producer.why_full();
  CHECK_MESSAGE(why.find("4096 bytes") != why.npos, why);
  CHECK_MESSAGE(why.find("slower") != why.npos, why);
  while (consumer.try_pop()) continue;
}

TEST_CASE_FIXTURE(ShmTest, "a push at once does nothing where anything is in the way") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  const Producer::Outgoing frame{R"({"type":"bytes"})", 5, "hello", nullptr};
  CHECK_FALSE(producer.push_at_once(frame));  // it has not looked for consumers yet
  CHECK(producer.size() == 0);
  CHECK(producer.try_push("first") == PushResult::kPushed);
  std::size_t pushed = 0;
  while (producer.push_at_once(frame)) ++pushed;
  CHECK(pushed > 4);
  CHECK(producer.size() == pushed + 1);
  CHECK(text(*consumer.pop()) == "first");
  for (; pushed > 0; --pushed) CHECK(text(*consumer.pop()) == "hello");
  CHECK(consumer.try_pop().empty());
}

TEST_CASE_FIXTURE(ShmTest, "an object that can never fit is refused at once, with both sizes") {
  Consumer consumer(name());
  for (const Policy policy : {Policy::kBlock, Policy::kDropOldest, Policy::kDropNewest}) {
    Producer producer(name(), {{.capacity = 4096}, policy});
    const std::vector<std::byte> whole(payloads::payload_for(4096)), larger(whole.size() + 1);
    CHECK(producer.push(whole) == PushResult::kPushed);
    try {
      producer.push(larger);
      FAIL("it was taken");
    } catch (const shmlane::TooLarge& error) {
      const std::string message = error.what();
      CHECK_MESSAGE(message.find("4033 bytes") != message.npos, message);
      CHECK_MESSAGE(message.find("4096 bytes") != message.npos, message);
    }
    CHECK_THROWS_AS(static_cast<void>(producer.reserve(kBytes, 1 << 20)), shmlane::TooLarge);
    CHECK_THROWS_AS(static_cast<void>(producer.reserve(kBytes, ~std::uint64_t{0})), shmlane::TooLarge);
    CHECK_THROWS_AS(static_cast<void>(producer.reserve(std::string(5000, '{'), 0)), shmlane::TooLarge);
    CHECK(consumer.try_pop()->payload().size() == whole.size());
    CHECK(consumer.try_pop().empty());
  }
}

TEST_CASE_FIXTURE(ShmTest, "drop_newest keeps what is there and counts what it drops") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}, Policy::kDropNewest});
  for (std::uint32_t i = 0; i < kFramesPerPage; ++i) CHECK(push(producer, i) == PushResult::kPushed);
  for (std::uint32_t i = 0; i < 5; ++i) CHECK(push(producer, 100 + i, shmlane::forever) == PushResult::kDropped);
  CHECK_FALSE(producer.reserve(kBytes, 64));
  CHECK(producer.stat().dropped == 6);
  for (std::uint32_t i = 0; i < kFramesPerPage; ++i) CHECK(sequence(consumer.try_pop()) == i);
  CHECK(consumer.try_pop().empty());
}

TEST_CASE_FIXTURE(ShmTest, "drop_oldest makes room by dropping what nobody has taken, and counts it") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}, Policy::kDropOldest});
  constexpr std::uint32_t kCount = 10 * kFramesPerPage + 5;
  for (std::uint32_t i = 0; i < kCount; ++i) CHECK(push(producer, i) == PushResult::kPushed);
  CHECK(producer.stat().dropped == kCount - kFramesPerPage);
  for (std::uint32_t i = kCount - kFramesPerPage; i < kCount; ++i) CHECK(sequence(consumer.try_pop()) == i);
  CHECK(consumer.try_pop().empty());
  // One as large as the ring drops everything, wherever the ring stands.
  CHECK(push(producer, 1) == PushResult::kPushed);
  CHECK(producer.push(std::vector<std::byte>(payloads::payload_for(4096))) == PushResult::kPushed);
  CHECK(producer.size() == 1);
  CHECK(consumer.try_pop()->payload().size() == payloads::payload_for(4096));
}

TEST_CASE_FIXTURE(ShmTest, "drop_oldest never takes what somebody holds") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}, Policy::kDropOldest});
  CHECK(push(producer, 0) == PushResult::kPushed);
  auto lease = consumer.acquire();
  for (std::uint32_t i = 1; i < kFramesPerPage; ++i) CHECK(push(producer, i) == PushResult::kPushed);
  // The lease is the oldest: to drop what is behind it would not make room.
  for (std::uint32_t i = 0; i < 3; ++i) CHECK(push(producer, 99) == PushResult::kDropped);
  CHECK(producer.stat().dropped == 3);
  CHECK(payloads::check_stamped(lease->payload()).sequence == 0);
  lease->release();
  CHECK(push(producer, kFramesPerPage) == PushResult::kPushed);
  for (std::uint32_t i = 1; i <= kFramesPerPage; ++i) CHECK(sequence(consumer.try_pop()) == i);

  const auto reservation = producer.reserve(kBytes, 64);
  for (std::uint32_t i = 1; i < kFramesPerPage; ++i) CHECK(push(producer, i) == PushResult::kPushed);
  CHECK(push(producer, 99) == PushResult::kDropped);
  for (std::uint32_t i = 1; i < kFramesPerPage; ++i) CHECK(sequence(consumer.try_pop()) == i);
}

TEST_CASE_FIXTURE(ShmTest, "drop_oldest loses nothing beyond what it counts while a consumer works") {
  constexpr std::uint32_t kCount = 50'000;
  const processes::Shared<std::atomic<std::uint32_t>> popped;
  const std::string name = this->name();
  Consumer keeper(name);  // so that counters outlive the others
  Child child([&] {
    Consumer consumer(name);
    std::int64_t last = -1;
    while (auto lease = consumer.acquire()) {
      const auto number = payloads::check_stamped(lease->payload()).sequence;
      processes::expect(number > last, "the order is broken");
      last = number;
      popped->fetch_add(1);
    }
  });
  {
    Producer producer(name, {{.capacity = 4096}, Policy::kDropOldest});
    processes::wait_until([&] { return producer.stat().consumers == 2; });
    for (std::uint32_t i = 0; i < kCount; ++i) push(producer, i);
  }
  CHECK(child.join() == "");
  CHECK(keeper.stat().dropped + *popped == kCount);
}

TEST_CASE_FIXTURE(ShmTest, "max_objects limits what waits, whatever room there is") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 65536}, Policy::kBlock, 60s, 3});
  for (std::uint32_t i = 0; i < 3; ++i) CHECK(push(producer, i) == PushResult::kPushed);
  CHECK(push(producer, 3) == PushResult::kFull);
  CHECK(push(producer, 3, 30ms) == PushResult::kFull);
  CHECK_FALSE(producer.wait(30ms));
  auto lease = consumer.acquire();  // what is held waits no more
  CHECK(producer.wait(shmlane::no_wait));
  CHECK(push(producer, 3) == PushResult::kPushed);
  CHECK(push(producer, 4) == PushResult::kFull);
  std::thread later([&] {
    std::this_thread::sleep_for(50ms);
    static_cast<void>(consumer.pop());
  });
  CHECK(push(producer, 4, 20s) == PushResult::kPushed);
  later.join();
  const std::vector<std::string> batch(10, "x");
  while (consumer.try_pop()) continue;
  CHECK(producer.push_many(std::span(batch), shmlane::no_wait) == 3);
  CHECK(consumer.pop_many(10).size() == 3);
}

TEST_CASE_FIXTURE(ShmTest, "max_objects with drop_oldest keeps the newest objects, with drop_newest the oldest") {
  Consumer consumer(name());
  {
    Producer producer(name(), {{.capacity = 65536}, Policy::kDropOldest, 60s, 2});
    for (std::uint32_t i = 0; i < 10; ++i) CHECK(push(producer, i) == PushResult::kPushed);
    CHECK(producer.stat().dropped == 8);
    auto lease = consumer.acquire();
    CHECK(payloads::check_stamped(lease->payload()).sequence == 8);
    for (std::uint32_t i = 10; i < 15; ++i) CHECK(push(producer, i) == PushResult::kPushed);
    CHECK(producer.stat().dropped == 8 + 4);
    CHECK(sequence(consumer.try_pop()) == 13);
    CHECK(sequence(consumer.try_pop()) == 14);
    CHECK(consumer.try_pop().empty());
    const auto first = producer.reserve(kBytes, 64), second = producer.reserve(kBytes, 64);
    CHECK(push(producer, 99) == PushResult::kDropped);  // what is being written belongs to somebody
    CHECK(producer.wait(shmlane::no_wait));             // a drop policy never waits
  }
  Producer producer(name(), {{}, Policy::kDropNewest, 60s, 2});
  for (std::uint32_t i = 0; i < 10; ++i) {
    CHECK(push(producer, i) == (i < 2 ? PushResult::kPushed : PushResult::kDropped));
  }
  CHECK(sequence(consumer.try_pop()) == 0);
  CHECK(sequence(consumer.try_pop()) == 1);
}

TEST_CASE_FIXTURE(ShmTest, "what a policy drops of a batch counts once each and does not end the batch") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}, Policy::kDropNewest});
  const std::vector<std::string> batch(100, std::string(900, 'x'));  // four fit
  CHECK(producer.push_many(std::span(batch)) == 100);
  CHECK(producer.push_many(std::span(batch).first(3)) == 3);
  CHECK(producer.stat().dropped == 96 + 3);
  CHECK(consumer.pop_many(100).size() == 4);
}

TEST_CASE_FIXTURE(ShmTest, "push_many and pop_many keep the order over several laps") {
  constexpr std::size_t kCount = 5000;
  const std::vector<std::string> objects = [] {
    std::vector<std::string> made;
    for (std::size_t i = 0; i < kCount; ++i) made.push_back("object " + std::to_string(i));
    return made;
  }();
  const std::string name = this->name();
  Child child([&] {
    Consumer consumer(name);
    std::size_t next = 0;
    while (!consumer.ended()) {
      for (const shmlane::Object& object : consumer.pop_many(100)) {
        processes::expect(text(object) == objects[next++], "an object is out of order");
      }
    }
    processes::expect(next == kCount, "the end came after " + std::to_string(next));
  });
  {
    Producer producer(name, {{.capacity = 4096}});
    std::size_t pushed = 0;
    while (pushed < kCount) {
      const std::size_t now = producer.push_many(std::span(objects).subspan(pushed));
      REQUIRE(now > 0);
      pushed += now;
    }
    CHECK(producer.push_many(std::span(objects).first(0)) == 0);
  }
  CHECK(child.join() == "");
}

TEST_CASE_FIXTURE(ShmTest, "pop_many takes what is there, up to its limit, and waits only for the first") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 65536}});
  for (std::uint32_t i = 0; i < 200; ++i) CHECK(push(producer, i) == PushResult::kPushed);
  CHECK(consumer.pop_many(0).empty());
  CHECK(consumer.pop_many(150).size() == 150);
  CHECK(consumer.acquire_many(1000).size() == 50);
  CHECK(consumer.pop_many(10, 20ms).empty());
  CHECK_FALSE(consumer.ended());
  producer.close();
  CHECK(consumer.pop_many(10).empty());
  CHECK(consumer.ended());
}

TEST_CASE_FIXTURE(ShmTest, "without a consumer a push fails after the time given for one") {
  Producer producer(name(), {{.capacity = 4096}, Policy::kBlock, 80ms});
  const auto begin = std::chrono::steady_clock::now();
  CHECK_THROWS_AS(push(producer, 0, shmlane::forever), shmlane::NoConsumers);
  CHECK(std::chrono::steady_clock::now() - begin >= 80ms);
  CHECK_THROWS_AS(push(producer, 0, 10ms), shmlane::NoConsumers);  // the push's own time-out is shorter
  CHECK_THROWS_AS(push(producer, 0), shmlane::NoConsumers);
  CHECK_THROWS_AS(static_cast<void>(producer.reserve(kBytes, 1, 1ms)), shmlane::NoConsumers);
  CHECK_FALSE(producer.wait(10ms));
  Producer impatient(name(), {{}, Policy::kBlock, 0s});
  CHECK_THROWS_AS(push(impatient, 0, shmlane::forever), shmlane::NoConsumers);
  CHECK(producer.size() == 0);
  Consumer consumer(name());
  CHECK(push(impatient, 1, shmlane::forever) == PushResult::kPushed);
  CHECK(push(producer, 2) == PushResult::kPushed);
  CHECK(consumer.pop_many(2).size() == 2);
}

TEST_CASE_FIXTURE(ShmTest, "a producer that does not wait for consumers fills the ring") {
  Producer producer(name(), {{.capacity = 4096}, Policy::kBlock, shmlane::forever});
  for (std::uint32_t i = 0; i < kFramesPerPage; ++i) CHECK(push(producer, i, shmlane::forever) == PushResult::kPushed);
  CHECK(push(producer, 99) == PushResult::kFull);
  producer.close();
  Consumer late(name());
  for (std::uint32_t i = 0; i < kFramesPerPage; ++i) CHECK(sequence(late.pop()) == i);
  CHECK(late.pop().ended());
}

TEST_CASE_FIXTURE(ShmTest, "a push goes on as soon as the first consumer comes, and none is needed after it left") {
  Producer producer(name(), {{.capacity = 65536}});
  {
    Child child([&, name = name()] {
      std::this_thread::sleep_for(80ms);
      Consumer consumer(name);
      processes::expect(text(*consumer.pop()) == "first", "another object came first");
    });
    CHECK(producer.push("first") == PushResult::kPushed);
    CHECK(child.join() == "");
  }
  CHECK(producer.push("second", 0s) == PushResult::kPushed);
  Consumer consumer(name());
  CHECK(text(*consumer.pop()) == "second");
}

}  // namespace
