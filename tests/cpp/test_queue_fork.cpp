// SPDX-License-Identifier: Apache-2.0
// Handles across fork: the child is a participant of its own, and what the parent holds stays the parent's.
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
using processes::expect;
using shmlane::Consumer;
using shmlane::Producer;
using shmlane::PushResult;

constexpr std::string_view kBytes = R"({"type":"bytes"})";

TEST_CASE_FIXTURE(ShmTest, "a child that uses its parent's handle becomes a participant of its own") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 65536}});
  producer.push("from the parent");
  const processes::Shared<std::atomic<bool>> done;
  Child child([&] {
    producer.push("from the child");
    expect(consumer.stat().producers == 2, "the child is not counted");
    expect(text(*consumer.pop()) == "from the parent", "the child got another object");
    expect(consumer.stat().consumers == 2, "the child is not counted as a consumer");
    processes::wait_until([&] { return done->load(); });
    producer.close();
    consumer.close();
  });
  processes::wait_until([&] { return consumer.stat().producers == 2 && consumer.stat().consumers == 2; });
  CHECK(text(*consumer.pop()) == "from the child");
  producer.close();
  CHECK(consumer.pop(20ms).empty());  // the child's producer lives
  done->store(true);
  CHECK(child.join() == "");
  CHECK(consumer.pop().ended());
  CHECK(consumer.stat().consumers == 1);
}

TEST_CASE_FIXTURE(ShmTest, "a child that only inherits handles changes nothing, however it ends") {
  Consumer consumer(name());
  std::optional<Producer> producer(std::in_place, name(), shmlane::ProducerOptions{{.capacity = 4096}});
  producer->push("x");
  CHECK(processes::run_in_child([] {}) == "");
  CHECK(processes::run_in_child([] { ::kill(::getpid(), SIGKILL); }) == "died of signal 9");
  CHECK(processes::run_in_child([&] {  // as an ordinary end runs destructors
          consumer.close();
          producer.reset();
        }) == "");
  CHECK(consumer.stat().producers == 1);
  CHECK(consumer.stat().consumers == 1);
  CHECK(text(*consumer.pop(0s)) == "x");
  CHECK(producer->push("y", 0s) == PushResult::kPushed);
  CHECK(text(*consumer.pop(0s)) == "y");
}

TEST_CASE_FIXTURE(ShmTest, "a child that lives on does not keep its dead parent alive") {
  Consumer consumer(name());
  const processes::Shared<std::atomic<pid_t>> grandchild;
  Child parent([&, name = name()] {
    Producer producer(name, {{.capacity = 4096}});
    producer.push("x");
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::alarm(40);
      for (;;) ::pause();
    }
    grandchild->store(pid);
    ::kill(::getpid(), SIGKILL);
  });
  CHECK(parent.join() == "died of signal 9");
  CHECK(text(*consumer.pop()) == "x");
  CHECK(consumer.pop().ended());
  ::kill(grandchild->load(), SIGKILL);
}

TEST_CASE_FIXTURE(ShmTest, "the parent's leases and reservations stay the parent's in the child") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  producer.push("leased");
  auto lease = consumer.acquire();
  auto reservation = producer.reserve(kBytes, 8);
  std::memcpy(reservation->payload().data(), "reserved", 8);
  SUBCASE("before the child uses the handles") {
    CHECK(processes::run_in_child([&] {
            expect(text(*lease) == "leased", "the lease shows something else");
            lease->release();
            reservation->abort();
          }) == "");
  }
  SUBCASE("after it has used them") {
    CHECK(processes::run_in_child([&] {
            expect(consumer.try_pop().empty(), "something is there");
            producer.push("child's");
            expect(text(*consumer.pop()) == "child's", "the child got another object");
            lease->release();
            try {
              reservation->commit();
            } catch (const shmlane::Closed&) {
              reservation->abort();
              return;
            }
            expect(false, "the child committed its parent's reservation");
          }) == "");
    CHECK(consumer.pop(250ms).empty());  // the child died as a participant, and is settled
  }
  CHECK(consumer.stat().producers == 1);
  CHECK(text(*lease) == "leased");
  CHECK(producer.reserve(kBytes, payloads::payload_for(4096), shmlane::no_wait) == std::nullopt);
  reservation->commit();
  CHECK(text(*consumer.pop()) == "reserved");
  lease->release();
  CHECK(producer.stat().used == 0);
}

TEST_CASE_FIXTURE(ShmTest, "a lease of the parent's can be read in a child that has ended the lease's consumer") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  producer.push("leased");
  auto lease = consumer.acquire();
  const auto end_consumer = [&] { const Consumer gone = std::move(consumer); };
  const auto read_and_release = [&] {
    expect(text(*lease) == "leased", "the lease shows something else");
    lease->release();
  };
  SUBCASE("without having used it") {
    CHECK(processes::run_in_child([&] {
            end_consumer();
            read_and_release();
          }) == "");
  }
  SUBCASE("after it had used it") {
    CHECK(processes::run_in_child([&] {
            expect(consumer.try_pop().empty(), "something is there");
            end_consumer();
            read_and_release();
          }) == "");
  }
  CHECK(text(*lease) == "leased");
}

TEST_CASE_FIXTURE(ShmTest, "a handle that was closed before the fork stays closed in the child") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  producer.push("x");
  auto lease = consumer.acquire();
  consumer.close();  // the lease keeps it attached
  Producer gone(name());
  gone.close();
  const auto closed_in_child = [&] {
    const auto refused = [](auto&& use) {
      try {
        use();
      } catch (const shmlane::Closed&) {
        return;
      }
      expect(false, "it was used");
    };
    refused([&] { static_cast<void>(consumer.try_pop()); });
    refused([&] { gone.try_push("y"); });
    expect(producer.stat().consumers == 0, "the child became a consumer");
    expect(producer.stat().producers == 1, "the child became a producer");
  };
  CHECK(processes::run_in_child(closed_in_child) == "");
  CHECK(text(*lease) == "x");
}

TEST_CASE_FIXTURE(ShmTest, "several threads of a child may use the handle first") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 1 << 20}});
  for (int round = 0; round < 30; ++round) {
    CHECK(processes::run_in_child([&] {
            std::atomic<int> ready{0};
            std::vector<std::thread> threads;
            for (int i = 0; i < 4; ++i) {
              threads.emplace_back([&] {
                ++ready;
                while (ready.load() < 4) continue;
                for (int k = 0; k < 10; ++k) producer.push("x");
              });
            }
            for (std::thread& thread : threads) thread.join();
            expect(producer.stat().producers == 2, "the child is not one participant");
            producer.push("x");
            producer.close();
          }) == "");
    CHECK(consumer.stat().producers == 1);
    CHECK(consumer.pop_many(100).size() == 41);
  }
}

TEST_CASE_FIXTURE(ShmTest, "a fork while other threads use the handle leaves the child a working one") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 65536}});
  std::atomic<bool> stop{false};
  std::thread pushes([&] {
    while (!stop) producer.push("x", 10ms);
  });
  std::thread pops([&] {
    while (!stop) static_cast<void>(consumer.pop(10ms));
  });
  for (int round = 0; round < 50; ++round) {
    CHECK(processes::run_in_child([&] {
            producer.push("y");
            static_cast<void>(consumer.pop());
          }) == "");
  }
  stop = true;
  pushes.join();
  pops.join();
  producer.close();
  while (consumer.pop()) continue;
  CHECK(consumer.ended());
}

TEST_CASE_FIXTURE(ShmTest, "a worker pool of forked children shares the parent's handles") {
  Consumer tasks(name("tasks"));
  Producer submit(name("tasks"), {{.capacity = 65536}});
  Consumer results(name("results"));
  Producer answer(name("results"), {{.capacity = 65536}});
  std::vector<Child> workers;
  for (int i = 0; i < 4; ++i) {
    workers.emplace_back([&] {
      submit.close();  // else the workers themselves would keep the stream open
      while (auto task = tasks.pop()) answer.push(text(*task) + "!");
      answer.close();
      tasks.close();
    });
  }
  tasks.close();
  std::vector<int> seen(500, 0);
  for (int i = 0; i < 500; ++i) submit.push(std::to_string(i));
  submit.close();
  // A child is a participant from its first use on: until all are through, this process keeps the stream open.
  for (int i = 0; i < 500; ++i) ++seen[std::stoul(text(*results.pop()))];
  CHECK(processes::join_all(workers) == "");
  answer.close();
  CHECK(results.pop().ended());
  CHECK(std::count(seen.begin(), seen.end(), 1) == 500);
}

}  // namespace
