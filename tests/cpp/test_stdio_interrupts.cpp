// SPDX-License-Identifier: Apache-2.0
// Signals that interrupt reads and writes of the stdio transport, and interrupt checks that end them.
#include <doctest/doctest.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>

#include "shmlane/error.hpp"
#include "shmlane/stdio.hpp"
#include "support/streams.hpp"
#include "support/watchdog.hpp"

namespace {

using namespace shmlane;

std::atomic<int> interruptions{0};
std::atomic<bool> stop_waiting{false};

struct StoppedByUser {};

void count_and_maybe_stop() {
  ++interruptions;
  if (stop_waiting) throw StoppedByUser{};
}

// Sends SIGUSR1, which interrupts system calls, to this thread until it is destroyed.
class Pester {
 public:
  Pester() : target_(::pthread_self()) {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, &before_);
    interruptions = 0;
    stop_waiting = false;
    thread_ = std::thread([this] {
      while (!done_) {
        ::pthread_kill(target_, SIGUSR1);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  }
  Pester(const Pester&) = delete;
  Pester& operator=(const Pester&) = delete;
  ~Pester() {
    done_ = true;
    thread_.join();
    ::sigaction(SIGUSR1, &before_, nullptr);
  }

 private:
  pthread_t target_;
  struct sigaction before_ {};
  std::atomic<bool> done_{false};
  std::thread thread_;
};

TEST_CASE("a read that signals interrupt goes on") {
  const Watchdog watchdog;
  Ends ends = Ends::pipe();
  std::thread writer([&] {
    while (interruptions < 5) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    StdioProducer(ends.out()).write(frame_of("payload"));
  });
  {
    const Pester pester;
    StdioConsumer consumer(ends.in(), kDefaultMaxFrame, count_and_maybe_stop);
    Taken<Object> taken = consumer.pop();
    REQUIRE(taken);
    CHECK(text(*taken) == "payload");
  }
  writer.join();
}

TEST_CASE("an interrupt check that throws ends a read, and the next read starts where it was") {
  const Watchdog watchdog;
  Ends ends = Ends::pipe();
  StdioConsumer consumer(ends.in(), kDefaultMaxFrame, count_and_maybe_stop);
  {
    const Pester pester;
    stop_waiting = true;
    CHECK_THROWS_AS(static_cast<void>(consumer.pop()), StoppedByUser);
  }
  StdioProducer(ends.out()).write(frame_of("payload"));
  Taken<Object> taken = consumer.pop();
  REQUIRE(taken);
  CHECK(text(*taken) == "payload");
}

TEST_CASE("an interrupt check that throws ends a write for good") {
  const Watchdog watchdog;
  Ends ends = Ends::pipe();
  StdioProducer producer(ends.out(), count_and_maybe_stop);
  const std::string payload = pattern(20 << 20);
  {
    const Pester pester;
    stop_waiting = true;
    CHECK_THROWS_AS(producer.write(frame_of(payload)), StoppedByUser);
  }
  CHECK_THROWS_AS(producer.write(frame_of("x")), Closed);
}

}  // namespace
