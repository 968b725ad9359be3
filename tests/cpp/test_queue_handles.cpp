// SPDX-License-Identifier: Apache-2.0
// Handles: closing, use after the end, threads that share one, waits that are cancelled or interrupted.
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
using shmlane::Consumer;
using shmlane::Producer;
using shmlane::PushResult;

TEST_CASE_FIXTURE(ShmTest, "a closed handle refuses every operation") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  producer.close();
  producer.close();
  CHECK(producer.closed());
  CHECK_THROWS_AS(producer.push("x"), shmlane::Closed);
  CHECK_THROWS_AS(producer.try_push("x"), shmlane::Closed);
  CHECK_THROWS_AS(static_cast<void>(producer.reserve(R"({"type":"bytes"})", 1)), shmlane::Closed);
  CHECK_THROWS_AS(producer.wait(), shmlane::Closed);
  const std::vector<std::string> batch = {"x"};
  CHECK_THROWS_AS(producer.push_many(std::span(batch)), shmlane::Closed);
  consumer.close();
  consumer.close();
  CHECK(consumer.closed());
  CHECK_THROWS_AS(static_cast<void>(consumer.pop()), shmlane::Closed);
  CHECK_THROWS_AS(static_cast<void>(consumer.try_pop()), shmlane::Closed);
  CHECK_THROWS_AS(static_cast<void>(consumer.acquire()), shmlane::Closed);
  CHECK_THROWS_AS(static_cast<void>(consumer.pop_many(1)), shmlane::Closed);
  CHECK_THROWS_AS(static_cast<void>(consumer.acquire_many(1)), shmlane::Closed);
  CHECK_THROWS_AS(consumer.wait(), shmlane::Closed);
}

TEST_CASE_FIXTURE(ShmTest, "a handle that was moved from is closed, and assignment closes what was there") {
  Consumer consumer(name());
  Producer first(name(), {{.capacity = 4096}});
  Producer second = std::move(first);
  CHECK(first.closed());
  CHECK_THROWS_AS(first.push("x"), shmlane::Closed);
  CHECK_THROWS_AS(static_cast<void>(first.capacity()), shmlane::Closed);
  CHECK(first.name() == "");
  second.push("x");
  CHECK(consumer.stat().producers == 1);
  Producer third(name());
  CHECK(consumer.stat().producers == 2);
  third = std::move(second);
  CHECK(consumer.stat().producers == 1);
  CHECK(third.push("y") == PushResult::kPushed);
  CHECK(consumer.pop_many(10).size() == 2);
}

// Runs `blocked` in a thread, gives it time to block, calls `end`; says what came of it.
template <class Blocked, class End>
std::string outcome_of(Blocked&& blocked, End&& end) {
  std::string outcome;
  std::thread thread([&] {
    try {
      outcome = blocked();
    } catch (const shmlane::Error& error) {
      outcome = shmlane::error_name(error.code());
    }
  });
  std::this_thread::sleep_for(150ms);
  end();
  thread.join();
  return outcome;
}

TEST_CASE_FIXTURE(ShmTest, "close from another thread ends a blocked pop, acquire and wait with Closed") {
  Producer producer(name(), {{.capacity = 4096}});
  for (const int which : {0, 1, 2}) {
    Consumer consumer(name());
    const auto blocked = [&]() -> std::string {
      if (which == 0) static_cast<void>(consumer.pop());
      if (which == 1) static_cast<void>(consumer.acquire());
      if (which == 2) static_cast<void>(consumer.wait());
      return "came back";
    };
    CHECK(outcome_of(blocked, [&] { consumer.close(); }) == "Closed");
  }
}

TEST_CASE_FIXTURE(ShmTest, "close from another thread ends a blocked push with Closed") {
  Consumer consumer(name());
  {
    Producer producer(name(), {{.capacity = 4096}});
    while (producer.try_push("x") == PushResult::kPushed) continue;
    const auto blocked = [&]() -> std::string { return producer.push("y") == PushResult::kPushed ? "pushed" : "full"; };
    CHECK(outcome_of(blocked, [&] { producer.close(); }) == "Closed");
  }
  while (consumer.pop()) continue;
  CHECK(consumer.ended());
}

TEST_CASE_FIXTURE(ShmTest, "close from another thread ends a push that waits for a consumer with Closed") {
  Producer producer(name(), {{.capacity = 4096}});
  const auto blocked = [&]() -> std::string { return producer.push("y") == PushResult::kPushed ? "pushed" : "full"; };
  CHECK(outcome_of(blocked, [&] { producer.close(); }) == "Closed");
  const Consumer cleaner(name());
}

TEST_CASE_FIXTURE(ShmTest, "cancel_wait ends wait with false and lets pop and push go on") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  const auto waits = [&]() -> std::string { return consumer.wait() ? "true" : "false"; };
  CHECK(outcome_of(waits, [&] { consumer.cancel_wait(); }) == "false");
  const auto pops = [&]() -> std::string { return text(*consumer.pop()); };
  CHECK(outcome_of(pops, [&] {
          consumer.cancel_wait();
          std::this_thread::sleep_for(20ms);
          producer.push("popped");
        }) == "popped");
  while (producer.try_push("x") == PushResult::kPushed) continue;
  CHECK(outcome_of([&]() -> std::string { return producer.wait() ? "true" : "false"; },
                   [&] { producer.cancel_wait(); }) == "false");
  CHECK(outcome_of([&]() -> std::string { return producer.push("last") == PushResult::kPushed ? "pushed" : "full"; },
                   [&] {
                     producer.cancel_wait();
                     std::this_thread::sleep_for(20ms);
                     static_cast<void>(consumer.pop());
                   }) == "pushed");
  CHECK(consumer.wait(0s));  // not cancelled for ever
  producer.close();
  while (consumer.pop()) continue;
}

TEST_CASE_FIXTURE(ShmTest, "wait says that something is there without taking it") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  CHECK_FALSE(consumer.wait(shmlane::no_wait));
  CHECK_FALSE(consumer.wait(30ms));
  producer.push("x");
  CHECK(consumer.wait());
  CHECK(consumer.wait(shmlane::no_wait));
  CHECK(consumer.size() == 1);
  CHECK(text(*consumer.pop()) == "x");
  while (producer.try_push("x") == PushResult::kPushed) continue;
  CHECK_FALSE(producer.wait(30ms));
  static_cast<void>(consumer.pop());
  CHECK(producer.wait());
  CHECK(producer.try_push("x") == PushResult::kPushed);
  producer.close();
  while (consumer.pop()) continue;
  CHECK(consumer.wait());  // for the end
  CHECK(consumer.ended());
}

std::atomic<int> interrupts{0};

struct Interruption : std::exception {};

TEST_CASE_FIXTURE(ShmTest, "the interrupt check is called between slices and may end a wait by throwing") {
  interrupts = 0;
  Consumer consumer(name(), {{.interrupt_check = [] { ++interrupts; }}});
  Producer producer(name(), {{.capacity = 4096, .interrupt_check = [] { throw Interruption(); }}});
  CHECK(consumer.pop(350ms).empty());
  CHECK(interrupts >= 3);
  while (producer.try_push("x") == PushResult::kPushed) continue;
  CHECK_THROWS_AS(producer.push("x"), Interruption);
  CHECK_THROWS_AS(producer.wait(), Interruption);
  static_cast<void>(consumer.pop());
  CHECK(producer.push("after the interruption") == PushResult::kPushed);
  producer.close();
  while (consumer.pop()) continue;
}

TEST_CASE_FIXTURE(ShmTest, "threads share a consumer: each object goes to one of them, and all see the end of stream") {
  constexpr std::uint32_t kCount = 2000;
  for (int round = 0; round < 20; ++round) {
    Consumer consumer(name());
    std::atomic<unsigned> popped{0}, ended{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        for (;;) {
          auto object = consumer.pop();
          if (!object) {
            ended += object.ended();
            return;
          }
          payloads::check_stamped(object->payload());
          ++popped;
        }
      });
    }
    {
      Producer producer(name(), {{.capacity = 65536}});
      std::thread other([&] {
        for (std::uint32_t i = 0; i < kCount / 2; ++i) payloads::push_stamped(producer, {1, i}, 64);
      });
      for (std::uint32_t i = 0; i < kCount / 2; ++i) payloads::push_stamped(producer, {0, i}, 64);
      other.join();
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(popped == kCount);
    CHECK(ended == 3);
  }
}

TEST_CASE_FIXTURE(ShmTest, "the end of stream is forgotten when a producer comes back") {
  Consumer consumer(name());
  Producer(name(), {{.capacity = 4096}}).push("first");
  CHECK(text(*consumer.pop()) == "first");
  CHECK(consumer.pop().ended());
  CHECK(consumer.ended());
  Producer producer(name());
  CHECK_FALSE(consumer.wait(shmlane::no_wait));
  CHECK_FALSE(consumer.ended());
  producer.push("second");
  CHECK(text(*consumer.pop()) == "second");
  CHECK_FALSE(consumer.ended());
  producer.close();
  CHECK(consumer.pop().ended());
  {
    Producer another(name());
    another.push("third");
    CHECK(text(*consumer.pop()) == "third");
    CHECK_FALSE(consumer.ended());
  }
  CHECK(consumer.pop().ended());
}

TEST_CASE_FIXTURE(ShmTest, "a handle may be closed at any moment of what other threads do with it") {
  for (int round = 0; round < 200; ++round) {
    Consumer keeper(name());
    Producer producer(name(), {{.capacity = 65536}});
    Consumer consumer(name());
    const auto until_closed = [](auto&& operation) {
      try {
        for (;;) operation();
      } catch (const shmlane::Closed&) {
      }
    };
    std::thread pops([&] { until_closed([&] { static_cast<void>(consumer.try_pop()); }); });
    std::thread leases([&] { until_closed([&] { static_cast<void>(consumer.acquire_many(10, shmlane::no_wait)); }); });
    std::thread pushes([&] { until_closed([&] { producer.try_push("x"); }); });
    std::this_thread::sleep_for(std::chrono::microseconds(round * 7));
    consumer.close();
    producer.close();
    pops.join();
    leases.join();
    pushes.join();
    CHECK(keeper.stat().producers == 0);
    CHECK(keeper.stat().consumers == 1);
    while (keeper.pop()) continue;
  }
}

}  // namespace
