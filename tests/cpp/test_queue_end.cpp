// SPDX-License-Identifier: Apache-2.0
// The end of stream, and who removes the segment when.
#include <atomic>

#include "shmlane/inspect.hpp"
#include "shmlane/log.hpp"
#include "shmlane/queue.hpp"
#include "support/payloads.hpp"
#include "support/processes.hpp"
#include "support/shm.hpp"

namespace {

using namespace std::chrono_literals;
using payloads::text;
using processes::Child;
using processes::expect;
using shmlane::Consumer;
using shmlane::Policy;
using shmlane::Producer;
using shmlane::ProducerOptions;
using shmlane::PushResult;

const ProducerOptions kNoConsumerNeeded{{.capacity = 4096}, Policy::kBlock, shmlane::forever};

TEST_CASE_FIXTURE(ShmTest, "the stream ends when the ring is empty and no producer is left") {
  Consumer consumer(name());
  CHECK(consumer.try_pop().empty());  // no producer yet is not the end
  {
    Producer one(name(), {{.capacity = 4096}}), two(name());
    one.push("a");
    one.close();
    CHECK(text(*consumer.pop()) == "a");
    CHECK(consumer.pop(20ms).empty());  // one is left
    two.push("b");
  }
  CHECK(text(*consumer.pop()) == "b");
  CHECK(consumer.pop().ended());
  CHECK(consumer.try_pop().ended());
  CHECK(consumer.acquire().ended());
  CHECK(consumer.pop_many(3).empty());
  CHECK(consumer.ended());
}

TEST_CASE_FIXTURE(ShmTest, "the last producer's end wakes every consumer that waits") {
  const std::string name = this->name();
  Producer producer(name, {{.capacity = 4096}});
  std::vector<Child> children;
  for (int i = 0; i < 4; ++i) {
    children.emplace_back([&] {
      Consumer consumer(name);
      expect(consumer.pop().ended(), "this is not the end");
    });
  }
  processes::wait_until([&] { return producer.stat().consumers == 4; });
  for (const Child& child : children) processes::wait_until([&] { return processes::sleeps(child.pid()); });
  producer.close();
  CHECK(processes::join_all(children) == "");
}

TEST_CASE_FIXTURE(ShmTest, "a consumer that comes after the last producer gets what is there, then the end") {
  {
    Producer producer(name(), kNoConsumerNeeded);
    for (int i = 0; i < 10; ++i) producer.push(std::to_string(i));
  }
  CHECK(exists());
  Consumer first(name());
  for (int i = 0; i < 5; ++i) CHECK(text(*first.pop()) == std::to_string(i));
  Consumer second(name());
  for (int i = 5; i < 10; ++i) CHECK(text(*second.pop()) == std::to_string(i));
  CHECK(second.pop().ended());
  CHECK(first.pop().ended());
}

TEST_CASE_FIXTURE(ShmTest, "a lease that another consumer holds does not delay the end of stream") {
  Consumer holder(name()), consumer(name());
  Producer(name(), {{.capacity = 4096}}).push("held");
  auto lease = holder.acquire();
  CHECK(consumer.pop().ended());
  CHECK(text(*lease) == "held");
}

TEST_CASE_FIXTURE(ShmTest, "a producer that dies by SIGKILL ends the stream, and what it committed arrives") {
  Consumer consumer(name());
  const processes::Shared<std::atomic<bool>> pushed;
  Child child([&, name = name()] {
    Producer producer(name, {{.capacity = 4096}});
    producer.push("committed");
    auto reservation = producer.reserve(R"({"type":"bytes"})", 10);
    pushed->store(true);
    for (;;) ::pause();
  });
  processes::wait_until([&] { return pushed->load(); });
  child.kill();
  CHECK(text(*consumer.pop()) == "committed");
  CHECK(consumer.pop().ended());
  CHECK(consumer.stat().used == 0);
  CHECK(consumer.stat().producers == 0);
}

TEST_CASE_FIXTURE(ShmTest, "a producer that dies while consumers sleep ends their stream, too, also for try_pop") {
  const std::string name = this->name();
  Child producer([&] {
    const Producer mine(name, {{.capacity = 4096}});
    for (;;) ::pause();
  });
  processes::wait_until([&] { return exists(); });
  Child sleeper([&] {
    Consumer consumer(name);
    expect(consumer.pop().ended(), "this is not the end");
  });
  Child poller([&] {
    Consumer consumer(name);
    processes::wait_until([&] { return consumer.try_pop().ended(); });
  });
  Consumer consumer(name);
  processes::wait_until([&] { return consumer.stat().consumers == 3; });
  processes::wait_until([&] { return processes::sleeps(sleeper.pid()); });
  producer.kill();
  CHECK(sleeper.join() == "");
  CHECK(poller.join() == "");
}

// ---- Removal -------------------------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(ShmTest, "the last consumer removes an empty queue without producers") {
  {
    Consumer first(name()), second(name());
    Producer(name(), {{.capacity = 4096}}).push("x");
    CHECK(first.pop());
    first.close();
    CHECK(exists());
  }
  CHECK(files().empty());
}

TEST_CASE_FIXTURE(ShmTest, "the last producer removes an empty queue that had a consumer") {
  Producer producer(name(), {{.capacity = 4096}});
  {
    Consumer consumer(name());
    producer.push("x");
    CHECK(consumer.pop());
  }
  CHECK(exists());
  producer.close();
  CHECK(files().empty());
}

TEST_CASE_FIXTURE(ShmTest, "a queue that never had a consumer stays for a late one") {
  { const Producer producer(name(), kNoConsumerNeeded); }
  CHECK(exists());
  Consumer late(name());
  CHECK(late.pop().ended());
}

TEST_CASE_FIXTURE(ShmTest, "a queue with objects inside stays for a late consumer") {
  {
    Consumer consumer(name());
    Producer producer(name(), {{.capacity = 4096}});
    producer.push("x");
    SUBCASE("the producer leaves last") { consumer.close(); }
    SUBCASE("the consumer leaves last") { producer.close(); }
  }
  CHECK(exists());
  Consumer late(name());
  CHECK(text(*late.pop()) == "x");
  CHECK(late.pop().ended());
}

TEST_CASE_FIXTURE(ShmTest, "a queue in which a consumer alone waited goes with it") {
  {
    Consumer consumer(name());
    CHECK(consumer.try_pop().empty());
  }
  CHECK(files().empty());
}

TEST_CASE_FIXTURE(ShmTest, "unlink=false keeps the queue with its capacity for the next") {
  for (int round = 0; round < 2; ++round) {
    Consumer consumer(name(), {{.unlink = false}});
    Producer producer(name(), {{.capacity = 8192, .unlink = false}});
    producer.push("x");
    CHECK(consumer.pop());
  }
  CHECK(exists());
  CHECK_THROWS_AS(Producer(name(), {{.capacity = 4096}}), shmlane::CapacityMismatch);
  Consumer consumer(name());
  CHECK(consumer.capacity() == 8192);
  CHECK(consumer.pop().ended());
}

TEST_CASE_FIXTURE(ShmTest, "a lease at the end of everything is redelivered to a late consumer if its holder dies") {
  Child child([&, name = name()] {
    Consumer consumer(name);
    Producer producer(name, {{.capacity = 4096}});
    producer.push("x");
    auto lease = consumer.acquire();
    producer.close();
    ::kill(::getpid(), SIGKILL);
  });
  CHECK(child.join() == "died of signal 9");
  Consumer late(name());
  auto object = late.pop();
  CHECK(text(*object) == "x");
  CHECK(object->attempt() == 1);
  CHECK(late.pop().ended());
}

TEST_CASE_FIXTURE(ShmTest, "comings and goings while others work hard make no warnings") {
  std::atomic<unsigned> warnings{0};
  shmlane::set_log_sink([&](shmlane::LogLevel, std::string_view text) {
    ++warnings;
    MESSAGE(std::string(text));
  });
  const processes::Shared<std::atomic<bool>> stop;
  const std::string name = this->name();
  {
    Consumer keeper(name);
    Child producer([&] {
      Producer mine(name, {{.capacity = 4096}});
      while (!stop->load()) mine.push("x", 100ms);
    });
    Child consumer([&] {
      Consumer mine(name);
      while (mine.pop()) continue;
    });
    processes::wait_until([&] { return keeper.stat().producers == 1 && keeper.stat().consumers == 2; });
    for (int i = 0; i < 500; ++i) {
      const Producer passing_producer(name);
      const Consumer passing_consumer(name);
    }
    stop->store(true);
    CHECK(producer.join() == "");
    CHECK(consumer.join() == "");
  }
  shmlane::set_log_sink({});
  CHECK(warnings == 0);
}

}  // namespace
