// SPDX-License-Identifier: Apache-2.0
// Participants that die by SIGKILL: what they held, and what becomes of a queue in which nobody lives any more.
#include <atomic>
#include <mutex>

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
using shmlane::ConsumerOptions;
using shmlane::Policy;
using shmlane::Producer;
using shmlane::ProducerOptions;
using shmlane::PushResult;
using shmlane::Stale;
using shmlane::wire::OnDeath;

const ProducerOptions kNoConsumerNeeded{{.capacity = 4096}, Policy::kBlock, shmlane::forever};

// A child takes a lease and dies by SIGKILL while it holds it. Returns the attempt it saw.
unsigned die_with_a_lease(const std::string& name, const ConsumerOptions& options = {}) {
  const processes::Shared<std::atomic<unsigned>> attempt;
  Child child([&] {
    Consumer consumer(name, options);
    auto lease = consumer.acquire();
    expect(static_cast<bool>(lease), "there is nothing to hold");
    attempt->store(lease->attempt());
    ::kill(::getpid(), SIGKILL);
  });
  CHECK(child.join() == "died of signal 9");
  return attempt->load();
}

TEST_CASE_FIXTURE(ShmTest, "what a consumer held when it died is delivered again, with the next attempt") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  producer.push("x");
  producer.push("y");
  CHECK(die_with_a_lease(name()) == 0);
  auto object = consumer.pop();  // what had not been taken needs no wait
  CHECK(text(*object) == "y");
  CHECK(object->attempt() == 0);
  object = consumer.pop();
  CHECK(text(*object) == "x");
  CHECK(object->attempt() == 1);
  CHECK(consumer.stat().redelivered == 1);
  CHECK(consumer.stat().dropped == 0);
  CHECK(producer.stat().used == 0);
}

TEST_CASE_FIXTURE(ShmTest, "an object that kills max_attempts consumers is dropped and counted") {
  Consumer watcher(name());
  Producer producer(name(), {{.capacity = 4096}});
  producer.push("poison");
  producer.push("good");
  for (unsigned attempt = 0; attempt < 3; ++attempt) CHECK(die_with_a_lease(name()) == attempt);
  CHECK(text(*watcher.pop()) == "good");
  CHECK(watcher.pop(250ms).empty());
  CHECK(watcher.stat().redelivered == 2);
  CHECK(watcher.stat().dropped == 1);
  CHECK(watcher.size() == 0);
}

TEST_CASE_FIXTURE(ShmTest, "max_attempts of 1 and on_death=drop deliver nothing a second time") {
  Consumer watcher(name());
  Producer producer(name(), {{.capacity = 4096}});
  for (const ConsumerOptions& options :
       {ConsumerOptions{{}, OnDeath::kRedeliver, 1}, ConsumerOptions{{}, OnDeath::kDrop, 3}}) {
    producer.push("x");
    CHECK(die_with_a_lease(name(), options) == 0);
  }
  CHECK(watcher.pop(250ms).empty());
  CHECK(watcher.stat().dropped == 2);
  CHECK(producer.stat().used == 0);
  CHECK_THROWS_AS(Consumer(name(), {{}, OnDeath::kRedeliver, 0}), shmlane::InvalidArgument);
  CHECK_THROWS_AS(Consumer(name(), {{}, OnDeath::kRedeliver, 256}), shmlane::InvalidArgument);
}

TEST_CASE_FIXTURE(ShmTest, "a dead consumer's lease stops pinning the ring without anybody's help") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  producer.push("x");
  die_with_a_lease(name(), {{}, OnDeath::kDrop, 3});
  const std::vector<std::byte> whole(payloads::payload_for(4096));
  SUBCASE("a push that waits") { CHECK(producer.push(whole, 20s) == PushResult::kPushed); }
  SUBCASE("a push that does not wait, soon") {
    processes::wait_until([&] { return producer.try_push(whole) == PushResult::kPushed; });
  }
  SUBCASE("a push that drops the oldest, soon") {
    Producer dropping(name(), {{}, Policy::kDropOldest});
    processes::wait_until([&] { return dropping.push(whole) == PushResult::kPushed; });
  }
  CHECK(consumer.pop()->payload().size() == whole.size());
}

TEST_CASE_FIXTURE(ShmTest, "producers and consumers that are killed at random lose nothing that was committed") {
  struct Board {
    std::atomic<std::uint32_t> committed{0};
    std::atomic<std::uint32_t> seen[100'000]{};
  };
  const processes::Shared<Board> board;
  const std::string name = this->name();
  Consumer keeper(name, {{.capacity = 65536}});
  const auto note = [&](const shmlane::Received& object) {
    board->seen[payloads::check_stamped(object.payload()).sequence].fetch_add(1);
  };
  for (unsigned round = 0; round < 15; ++round) {
    const std::uint32_t base = round * 5000;
    Child victim([&] {
      Consumer consumer(name, {{}, OnDeath::kRedeliver, 255});
      while (auto lease = consumer.acquire()) note(*lease);
    });
    Child producer([&] {
      Producer mine(name);
      for (std::uint32_t i = 0; i < 5000; ++i) {
        payloads::push_stamped(mine, {0, base + i}, 100);
        board->committed.store(base + i + 1);
      }
      for (;;) ::pause();
    });
    processes::wait_until([&] { return board->committed.load() > base; });
    std::this_thread::sleep_for(std::chrono::microseconds(100 + 137 * round));
    victim.kill();
    producer.kill();
    while (auto object = keeper.pop()) note(*object);
    const std::uint32_t count = board->committed.load();
    REQUIRE(count > base);
    bool all = true;
    for (std::uint32_t i = base; i < count; ++i) all = all && board->seen[i] >= 1;
    CHECK(all);
    CHECK(keeper.stat().used == 0);
  }
  std::uint64_t twice = 0;
  for (const auto& count : board->seen) twice += count.load() > 1 ? count.load() - 1 : 0;
  CHECK(twice <= keeper.stat().redelivered);
}

TEST_CASE_FIXTURE(ShmTest, "the death of a process with many handles is settled for all of them") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 65536}});
  for (int i = 0; i < 20; ++i) producer.push(std::to_string(i));
  Child child([&, name = name()] {
    std::vector<Consumer> consumers;
    std::vector<shmlane::Lease> leases;
    std::vector<Producer> producers;
    std::vector<shmlane::Reservation> reservations;
    for (int i = 0; i < 10; ++i) {
      consumers.emplace_back(name);
      producers.emplace_back(name);
      for (shmlane::Lease& lease : consumers.back().acquire_many(2)) leases.push_back(std::move(lease));
      reservations.push_back(std::move(*producers.back().reserve(R"({"type":"bytes"})", 10)));
    }
    ::kill(::getpid(), SIGKILL);
  });
  CHECK(child.join() == "died of signal 9");
  for (int i = 0; i < 20; ++i) CHECK(text(*consumer.pop()) == std::to_string(i));
  CHECK(consumer.try_pop().empty());
  CHECK(consumer.stat().consumers == 1);
  CHECK(consumer.stat().producers == 1);
  CHECK(consumer.stat().redelivered == 20);
}

// ---- Left-overs ----------------------------------------------------------------------------------------------------

// A producer that pushes "0", "1" … and dies by SIGKILL, or closes.
void leave_behind(const std::string& name, int objects, bool cleanly) {
  const std::string outcome = processes::run_in_child([&] {
    Producer producer(name, kNoConsumerNeeded);
    for (int i = 0; i < objects; ++i) producer.push(std::to_string(i));
    if (!cleanly) ::kill(::getpid(), SIGKILL);
  });
  CHECK(outcome == (cleanly ? "" : "died of signal 9"));
}

std::vector<std::string> drain(Consumer& consumer) {
  std::vector<std::string> all;
  while (auto object = consumer.try_pop()) all.push_back(text(*object));
  return all;
}

using Texts = std::vector<std::string>;

class LogLines {
 public:
  LogLines() {
    shmlane::set_log_sink([this](shmlane::LogLevel, std::string_view line) { all_ += std::string(line) + "\n"; });
    shmlane::set_log_level(shmlane::LogLevel::kInfo);
  }
  ~LogLines() {
    shmlane::set_log_sink({});
    shmlane::set_log_level(shmlane::LogLevel::kWarning);
  }
  [[nodiscard]] bool contain(std::string_view what) const { return all_.find(what) != all_.npos; }

 private:
  std::string all_;
};

TEST_CASE_FIXTURE(ShmTest, "stale=auto: what was closed cleanly is kept, for consumers and producers alike") {
  leave_behind(name(), 3, true);
  SUBCASE("consumer") {
    Consumer consumer(name());
    CHECK(drain(consumer) == Texts{"0", "1", "2"});
    CHECK(consumer.pop().ended());
  }
  SUBCASE("producer") {
    Producer producer(name());
    producer.close();
    Consumer consumer(name());
    CHECK(drain(consumer) == Texts{"0", "1", "2"});
  }
}

TEST_CASE_FIXTURE(ShmTest, "stale=auto: what a crash left is drained by a consumer") {
  const LogLines log;
  leave_behind(name(), 3, false);
  Consumer consumer(name());
  CHECK(drain(consumer) == Texts{"0", "1", "2"});
  CHECK(consumer.pop().ended());
  CHECK(log.contain("3 objects"));
}

TEST_CASE_FIXTURE(ShmTest, "stale=auto: what a crash left is replaced by a producer, and the log counts what is lost") {
  const LogLines log;
  leave_behind(name(), 3, false);
  Producer producer(name(), {{.capacity = 8192}});
  CHECK(producer.capacity() == 8192);
  CHECK(log.contain("3 objects in it are discarded"));
  Consumer consumer(name());
  producer.push("new");
  CHECK(drain(consumer) == Texts{"new"});
}

TEST_CASE_FIXTURE(ShmTest, "stale=auto: an empty queue that a crash left is replaced by whoever comes") {
  leave_behind(name(), 0, false);
  SUBCASE("consumer") {
    Consumer consumer(name());
    CHECK(consumer.capacity() == 0);
    CHECK(consumer.try_pop().empty());
  }
  SUBCASE("producer") {
    Producer producer(name(), {{.capacity = 8192}});
    const Consumer cleaner(name());
  }
}

TEST_CASE_FIXTURE(ShmTest, "stale=keep appends to what a crash left, stale=replace begins anew") {
  for (const bool cleanly : {true, false}) {
    leave_behind(name(), 2, cleanly);
    {
      Producer keeping(name(), {{.stale = Stale::kKeep}, Policy::kBlock, shmlane::forever});
      keeping.push("more");
    }
    {
      Consumer consumer(name(), {{.stale = Stale::kKeep}});
      CHECK(drain(consumer) == Texts{"0", "1", "more"});
    }
    CHECK(files().empty());
    leave_behind(name(), 2, cleanly);
    Consumer replacing(name(), {{.stale = Stale::kReplace}});
    CHECK(replacing.capacity() == 0);
    CHECK(drain(replacing).empty());
    Producer second(name(), {{.capacity = 16384, .stale = Stale::kReplace}});  // somebody lives: nothing is replaced
    second.push("x");
    CHECK(drain(replacing) == Texts{"x"});
  }
}

TEST_CASE_FIXTURE(ShmTest, "a queue in which everybody died shows its dead and is removed without force") {
  leave_behind(name(), 2, false);
  const shmlane::SegmentInfo info = shmlane::inspect_segment(name());
  REQUIRE(info.participants.size() == 1);
  CHECK_FALSE(info.participants[0].alive);
  CHECK(info.objects == 2);
  CHECK(shmlane::remove_segment(name()));
  CHECK(files().empty());
}

}  // namespace
