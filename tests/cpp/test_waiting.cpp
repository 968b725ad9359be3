// SPDX-License-Identifier: Apache-2.0
// Sleeping and waking: nobody sleeps through what it waits for, tokens do not pile up, waiting costs no CPU.
#include "waiting.hpp"

#include <semaphore.h>
#include <sys/resource.h>

#include <atomic>
#include <thread>

#include "shmlane/queue.hpp"
#include "support/payloads.hpp"
#include "support/processes.hpp"
#include "support/raw_segment.hpp"
#include "support/shm.hpp"

namespace {

using namespace std::chrono_literals;
using processes::Child;
using processes::expect;
using shmlane::Consumer;
using shmlane::Producer;
using shmlane::PushResult;
using shmlane::WaitPlace;
using shmlane::os::SemaphoreWait;

// A wait place of its own, with its words and semaphore open to the test.
class PlaceTest : public ShmTest {
 protected:
  PlaceTest() : place(waiters, flags, shmlane::os::NamedSemaphore(semaphore_name(), 0600)) {
    shmlane::os::register_barrier();
    semaphore = ::sem_open(semaphore_name().c_str(), 0);
  }
  ~PlaceTest() {
    ::sem_close(semaphore);
    shmlane::os::NamedSemaphore::remove(semaphore_name());
  }
  [[nodiscard]] std::string semaphore_name() const { return "/shmlane." + name("place"); }
  [[nodiscard]] int tokens() const {
    int value = 0;
    ::sem_getvalue(semaphore, &value);
    return value;
  }
  static std::int64_t in(std::chrono::nanoseconds duration) { return shmlane::os::monotonic_ns() + duration.count(); }

  std::uint64_t waiters = 0;
  std::uint32_t flags = 0;
  WaitPlace place;
  sem_t* semaphore = nullptr;
};

TEST_CASE_FIXTURE(PlaceTest, "a wake without sleepers posts nothing") {
  for (flags = 0; flags <= shmlane::wire::kFlagFullFence; ++flags) {
    for (int i = 0; i < 100; ++i) place.wake_one();
    place.wake_all();
    CHECK(waiters == 0);
    CHECK(tokens() == 0);
  }
}

TEST_CASE_FIXTURE(PlaceTest, "an announced sleeper gets one token, however often it is woken") {
  for (flags = 0; flags <= shmlane::wire::kFlagFullFence; ++flags) {
    WaitPlace::Sleeper sleeper(place);
    sleeper.announce();
    sleeper.announce();
    CHECK(waiters == 1);
    for (int i = 0; i < 100; ++i) place.wake_one();
    CHECK(waiters == 0);
    CHECK(tokens() == 1);
    CHECK(sleeper.sleep(in(20s)) == SemaphoreWait::kTaken);
    CHECK(tokens() == 0);
  }
  CHECK(waiters == 0);
}

TEST_CASE_FIXTURE(PlaceTest, "who leaves without having slept withdraws its announcement, or takes its token along") {
  {
    WaitPlace::Sleeper sleeper(place);
    sleeper.announce();
  }
  CHECK(waiters == 0);
  {
    WaitPlace::Sleeper sleeper(place);
    sleeper.announce();
    place.wake_one();
    CHECK(tokens() == 1);
  }
  CHECK(waiters == 0);
  CHECK(tokens() == 0);
  { const WaitPlace::Sleeper never_announced(place); }
  CHECK(waiters == 0);
}

TEST_CASE_FIXTURE(PlaceTest, "a token that is on its way when its sleeper leaves wakes the next one, and no third") {
  {
    WaitPlace::Sleeper sleeper(place);
    sleeper.announce();
    waiters = 0;  // a publisher has taken the announcement back and has not posted yet
  }
  CHECK(waiters == 0);
  {
    WaitPlace::Sleeper next(place);
    next.announce();
    CHECK(waiters == 0);  // the debt stands for its announcement
    ::sem_post(semaphore);
    CHECK(next.sleep(in(20s)) == SemaphoreWait::kTaken);
    next.announce();
    CHECK(waiters == 1);
  }
  CHECK(waiters == 0);
  CHECK(tokens() == 0);
}

TEST_CASE_FIXTURE(PlaceTest,
                  "a publisher that died before its post costs one slice, then sleepers announce themselves again") {
  {
    WaitPlace::Sleeper sleeper(place);
    sleeper.announce();
    waiters = 0;  // taken back by somebody who died
  }
  WaitPlace::Sleeper next(place);
  next.announce();
  CHECK(waiters == 0);
  CHECK(next.sleep(in(5ms)) == SemaphoreWait::kTimedOut);
  next.announce();
  CHECK(waiters == 1);
}

TEST_CASE_FIXTURE(PlaceTest, "wake_all wakes everybody who sleeps") {
  std::atomic<unsigned> woken{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 5; ++i) {
    threads.emplace_back([&] {
      WaitPlace::Sleeper sleeper(place);
      sleeper.announce();
      woken += sleeper.sleep(in(40s)) == SemaphoreWait::kTaken;
    });
  }
  processes::wait_until([&] { return shmlane::atomic(waiters).load() == 5; });
  place.wake_all();
  for (std::thread& thread : threads) thread.join();
  CHECK(woken == 5);
  CHECK(waiters == 0);
  CHECK(tokens() == 0);
}

TEST_CASE_FIXTURE(PlaceTest, "a count of waiters that somebody scribbled over ends every loop") {
  waiters = ~std::uint64_t{0};
  place.wake_all();
  place.wake_one();
  WaitPlace::Sleeper sleeper(place);
  sleeper.announce();
}

// The values of a queue's two semaphores.
std::vector<int> token_counts(const ShmTest& test) {
  std::vector<int> counts;
  for (const std::string& file : test.files()) {
    if (!file.starts_with("sem.")) continue;
    sem_t* semaphore = ::sem_open(("/" + file.substr(4)).c_str(), 0);
    REQUIRE(semaphore != SEM_FAILED);
    int value = -1;
    ::sem_getvalue(semaphore, &value);
    ::sem_close(semaphore);
    counts.push_back(value);
  }
  return counts;
}

TEST_CASE_FIXTURE(ShmTest, "a blocked pop or push costs next to no CPU and wakes about ten times a second") {
  const auto block = [](auto&& blocked) {
    rusage before{}, after{};
    ::getrusage(RUSAGE_SELF, &before);
    blocked();
    ::getrusage(RUSAGE_SELF, &after);
    const auto microseconds = [](const rusage& usage) {
      return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000 + usage.ru_utime.tv_usec +
             usage.ru_stime.tv_usec;
    };
    const long cpu = microseconds(after) - microseconds(before);
    const long wakes = after.ru_nvcsw - before.ru_nvcsw;
    expect(cpu < 50'000, "a second of waiting cost " + std::to_string(cpu) + " µs of CPU");
    expect(wakes < 25, "a second of waiting woke " + std::to_string(wakes) + " times");
  };
  std::vector<Child> children;
  children.emplace_back([&] {
    Consumer consumer(name("without a ring"));
    block([&] { expect(consumer.pop(1s).empty(), "something came"); });
  });
  children.emplace_back([&] {
    Producer producer(name("empty"), {{.capacity = 4096}});
    Consumer consumer(name("empty"));
    block([&] { expect(consumer.pop(1s).empty(), "something came"); });
  });
  children.emplace_back([&] {
    Consumer consumer(name("full"));
    Producer producer(name("full"), {{.capacity = 4096}});
    while (producer.try_push("x") == PushResult::kPushed) continue;
    block([&] { expect(producer.push("x", 1s) == PushResult::kFull, "there was room"); });
    while (consumer.try_pop()) continue;
  });
  children.emplace_back([&] {
    Producer producer(name("alone"), {{.capacity = 4096}});
    block([&] { expect(!producer.wait(1s), "somebody came"); });
    const Consumer cleaner(name("alone"));
  });
  CHECK(processes::join_all(children) == "");
}

TEST_CASE_FIXTURE(ShmTest,
                  "tokens do not pile up and no announcement is left, however much was pushed and waited for") {
  const std::string name = this->name();
  Consumer keeper(name);
  Producer producer(name, {{.capacity = 4096}});
  {
    std::vector<Child> children;
    for (int i = 0; i < 3; ++i) {
      children.emplace_back([&] {
        Consumer consumer(name);
        for (unsigned k = 0; auto object = consumer.pop(); ++k) {
          if (k % 50 == 0) std::this_thread::sleep_for(200us);  // so that the ring fills now and then
        }
      });
    }
    for (unsigned i = 0; i < 20'000; ++i) {
      producer.push("x");
      if (i % 100 == 0) std::this_thread::sleep_for(200us);  // so that consumers sleep now and then
    }
    for (const int tokens : token_counts(*this)) CHECK(tokens <= 5);
    producer.close();
    CHECK(processes::join_all(children) == "");
  }
  const raw::Segment segment(name);
  CHECK(segment.control().items_waiters.value == 0);
  CHECK(segment.control().space_waiters.value == 0);
  for (int i = 0; i < 3; ++i) CHECK(keeper.pop(1ms).ended());
  for (const int tokens : token_counts(*this)) CHECK(tokens <= 5);
}

TEST_CASE_FIXTURE(ShmTest, "time-outs leave neither announcements nor tokens behind") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  for (int i = 0; i < 30; ++i) CHECK(consumer.pop(1ms).empty());
  while (producer.try_push("x") == PushResult::kPushed) continue;
  for (int i = 0; i < 30; ++i) CHECK(producer.push("x", 1ms) == PushResult::kFull);
  const raw::Segment segment(name());
  CHECK(segment.control().items_waiters.value == 0);
  CHECK(segment.control().space_waiters.value == 0);
  for (const int tokens : token_counts(*this)) CHECK(tokens == 0);
  while (consumer.try_pop()) continue;
}

// Were wake-ups lost, each of them would cost a slice of 100 ms, and the watchdog would bite long before the end.
TEST_CASE_FIXTURE(ShmTest, "two processes that sleep by turns wake each other thousands of times") {
  constexpr int kRounds = 3000;
  const std::string there = name("there"), back = name("back");
  Child echo([&] {
    Consumer consumer(there);
    Producer producer(back, {{.capacity = 4096}});
    while (auto object = consumer.pop()) {
      std::this_thread::sleep_for(60us);  // longer than the other one spins
      producer.push("x");
    }
  });
  Consumer consumer(back);
  Producer producer(there, {{.capacity = 4096}});
  for (int i = 0; i < kRounds; ++i) {
    producer.push("x");
    REQUIRE(consumer.pop());
    if (i % 2 == 0) std::this_thread::sleep_for(60us);
  }
  CHECK(consumer.stat().waits > kRounds / 2);  // it did sleep
  producer.close();
  CHECK(echo.join() == "");
}

TEST_CASE_FIXTURE(ShmTest, "many sleepers and one producer: each object wakes one who takes it") {
  constexpr unsigned kCount = 2000;
  const processes::Shared<std::atomic<unsigned>> popped;
  const std::string name = this->name();
  std::vector<Child> children;
  for (int i = 0; i < 6; ++i) {
    children.emplace_back([&] {
      Consumer consumer(name);
      while (consumer.pop()) popped->fetch_add(1);
    });
  }
  Producer producer(name, {{.capacity = 4096}});
  for (unsigned i = 0; i < kCount; ++i) {
    producer.push("x");
    processes::wait_until([&] { return popped->load() == i + 1; });
  }
  producer.close();
  CHECK(processes::join_all(children) == "");
}

}  // namespace
