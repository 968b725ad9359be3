// SPDX-License-Identifier: Apache-2.0
// Counters: each moves exactly when it should, in the queue's sums and in the entries, also across the death of processes.
#include "shmlane/inspect.hpp"
#include "shmlane/queue.hpp"
#include "support/payloads.hpp"
#include "support/processes.hpp"
#include "support/raw_segment.hpp"
#include "support/shm.hpp"

namespace {

using namespace std::chrono_literals;
using processes::Child;
using shmlane::Consumer;
using shmlane::Counters;
using shmlane::Policy;
using shmlane::Producer;
using shmlane::QueueStat;

constexpr std::string_view kBytes = R"({"type":"bytes"})";

// The counters that differ, by name, so that a test says all that moved and with it all that did not.
std::string moved(const Counters& before, const Counters& after) {
  std::string text;
  const auto add = [&](const char* name, std::uint64_t from, std::uint64_t to) {
    if (from != to)
      text +=
          (text.empty() ? "" : ", ") + std::string(name) + " " + std::to_string(static_cast<std::int64_t>(to - from));
  };
  add("pushed", before.pushed, after.pushed);
  add("pushed_bytes", before.pushed_bytes, after.pushed_bytes);
  add("aborted", before.aborted, after.aborted);
  add("popped", before.popped, after.popped);
  add("popped_bytes", before.popped_bytes, after.popped_bytes);
  add("dropped", before.dropped, after.dropped);
  add("redelivered", before.redelivered, after.redelivered);
  add("waits", before.waits, after.waits);
  add("recovered", before.recovered, after.recovered);
  return text;
}

class CountersTest : public ShmTest {
 public:
  // What moves while `work` is done.
  template <class Work>
  std::string during(Work&& work) {
    const QueueStat before = consumer.stat();
    work();
    return moved(before, consumer.stat());
  }
  [[nodiscard]] shmlane::ParticipantInfo participant(pid_t pid) const {
    for (const auto& info : shmlane::inspect_segment(name()).participants) {
      if (info.pid == static_cast<std::uint32_t>(pid)) return info;
    }
    throw std::runtime_error("there is no such participant");
  }

  Consumer consumer{name()};
  Producer producer{name(), {{.capacity = 65536}}};
};

// A child does `work`, keeps what it returns, and dies by SIGKILL.
template <class Work>
void die_after(Work&& work) {
  Child child([&] {
    const auto kept = work();
    ::kill(::getpid(), SIGKILL);
  });
  CHECK(child.join() == "died of signal 9");
}

TEST_CASE_FIXTURE(CountersTest, "pushed and popped count objects and their payload bytes, no metadata and no padding") {
  CHECK(during([&] { producer.push("hello"); }) == "pushed 1, pushed_bytes 5");
  CHECK(during([&] { CHECK(consumer.pop()); }) == "popped 1, popped_bytes 5");
  CHECK(during([&] {
          const std::vector<std::string_view> texts{"a", "bc", "def"};
          CHECK(producer.push_many(std::span(texts)) == 3);
        }) == "pushed 3, pushed_bytes 6");
  CHECK(during([&] { CHECK(consumer.pop_many(9).size() == 3); }) == "popped 3, popped_bytes 6");
}

TEST_CASE_FIXTURE(CountersTest, "a reservation counts as pushed until it is aborted, a lease as popped at once") {
  std::optional<shmlane::Reservation> place;
  CHECK(during([&] { place = producer.reserve(kBytes, 100); }) == "pushed 1, pushed_bytes 100");
  CHECK(during([&] { place->commit(); }) == "");
  CHECK(during([&] {
          auto lease = consumer.acquire();
          CHECK(lease);
        }) == "popped 1, popped_bytes 100");
  CHECK(during([&] { producer.reserve(kBytes, 100)->abort(); }) == "pushed_bytes 100, aborted 1");
}

TEST_CASE_FIXTURE(CountersTest, "what finds no room, no object or no consumer counts nothing") {
  const std::vector<std::byte> half(30'000);
  producer.push(half);
  producer.push(half);
  CHECK(during([&] { CHECK(producer.try_push(half) == shmlane::PushResult::kFull); }) == "");
  CHECK(during([&] { CHECK(consumer.pop_many(9).size() == 2); }) == "popped 2, popped_bytes 60000");
  CHECK(during([&] { CHECK(consumer.try_pop().empty()); }) == "");
}

TEST_CASE_FIXTURE(CountersTest, "dropped counts what the policy throws away, old or new") {
  producer.push("a");
  producer.push("b");
  Producer oldest(name(), {{}, Policy::kDropOldest, 60s, 2});
  CHECK(during([&] { oldest.push("c"); }) == "pushed 1, pushed_bytes 1, dropped 1");
  Producer newest(name(), {{}, Policy::kDropNewest, 60s, 2});
  CHECK(during([&] { CHECK(newest.push("d") == shmlane::PushResult::kDropped); }) == "dropped 1");
  CHECK(during([&] { CHECK(consumer.pop_many(9).size() == 2); }) == "popped 2, popped_bytes 2");
}

TEST_CASE_FIXTURE(CountersTest, "waits counts calls that went to sleep, however often they are woken") {
  CHECK(during([&] { CHECK(consumer.pop(250ms).empty()); }) == "waits 1");
  CHECK(during([&] { CHECK_FALSE(consumer.wait(1ms)); }) == "waits 1");
  CHECK(during([&] { CHECK(consumer.try_pop().empty()); }) == "");
}

TEST_CASE_FIXTURE(CountersTest, "what the dead pushed and popped stays counted, and stays so when they are reaped") {
  CHECK(during([&] {
          die_after([&] {
            auto mine = std::make_unique<Producer>(name());
            mine->push("hello");
            return mine;
          });
        }) == "pushed 1, pushed_bytes 5");
  CHECK(during([&] { CHECK(shmlane::reap_segment(name()) == 1); }) == "");
  CHECK(during([&] {
          die_after([&] {
            auto mine = std::make_unique<Consumer>(name());
            CHECK(mine->pop());
            return mine;
          });
        }) == "popped 1, popped_bytes 5");
  CHECK(during([&] { CHECK(shmlane::reap_segment(name()) == 1); }) == "");
}

TEST_CASE_FIXTURE(CountersTest, "reaping counts a dead reservation as aborted and a dead lease as redelivered, once") {
  producer.push("x");
  CHECK(during([&] {
          die_after([&] {
            auto reader = std::make_shared<Consumer>(name());
            auto writer = std::make_shared<Producer>(name());
            return std::tuple(reader, writer, std::make_shared<shmlane::Taken<shmlane::Lease>>(reader->acquire()),
                              std::make_shared<std::optional<shmlane::Reservation>>(writer->reserve(kBytes, 10)));
          });
        }) == "pushed 1, pushed_bytes 10, popped 1, popped_bytes 1");
  CHECK(during([&] { CHECK(shmlane::reap_segment(name()) == 2); }) == "pushed -1, aborted 1, redelivered 1");
  CHECK(during([&] { CHECK(shmlane::reap_segment(name()) == 0); }) == "");
  CHECK(during([&] { CHECK(consumer.pop()->attempt() == 1); }) == "popped 1, popped_bytes 1");
}

TEST_CASE_FIXTURE(CountersTest, "a lease of the dead that is not delivered again counts as dropped") {
  producer.push("x");
  die_after([&] {
    auto reader = std::make_shared<Consumer>(name(), shmlane::ConsumerOptions{{}, shmlane::wire::OnDeath::kDrop, 3});
    return std::pair(reader, std::make_shared<shmlane::Taken<shmlane::Lease>>(reader->acquire()));
  });
  CHECK(during([&] { CHECK(shmlane::reap_segment(name()) == 1); }) == "dropped 1");
}

TEST_CASE_FIXTURE(CountersTest,
                  "recovered counts a lock that was taken over from the dead, in the entry of who took it") {
  Child victim([&] {
    const Producer mine(name());
    for (;;) ::pause();
  });
  processes::wait_until([&] { return producer.stat().producers == 2; });
  const std::uint64_t dead = participant(victim.pid()).id;
  victim.kill();
  const raw::Segment memory(name());
  SUBCASE("the producers' lock") { memory.control().producers_lock = dead; }
  SUBCASE("the consumers' lock") { memory.control().consumers_lock = dead; }
  CHECK(during([&] {
          producer.push("x");
          CHECK(consumer.pop());
        }) == "pushed 1, pushed_bytes 1, popped 1, popped_bytes 1, recovered 1");
  CHECK(memory.control().producers_lock == 0);
  CHECK(memory.control().consumers_lock == 0);
  std::uint64_t in_entries = 0;
  for (const auto& info : shmlane::inspect_segment(name()).participants) in_entries += info.counters.recovered;
  CHECK(in_entries == 1);
}

TEST_CASE_FIXTURE(CountersTest, "each participant's counters are its own, and their sum is the queue's") {
  producer.push("hello");
  Producer other(name());
  other.push("hi");
  CHECK(consumer.pop());
  const shmlane::SegmentInfo info = shmlane::inspect_segment(name());
  REQUIRE(info.participants.size() == 3);
  CHECK(moved({}, info.participants[0].counters) == "popped 1, popped_bytes 5");
  CHECK(moved({}, info.participants[1].counters) == "pushed 1, pushed_bytes 5");
  CHECK(moved({}, info.participants[2].counters) == "pushed 1, pushed_bytes 2");
  CHECK(moved({}, info.stat) == "pushed 2, pushed_bytes 7, popped 1, popped_bytes 5");
  CHECK(consumer.pop());
}

TEST_CASE_FIXTURE(CountersTest, "who leaves takes no counter along, and its place in the table counts on") {
  for (int i = 0; i < 3; ++i) Producer(name()).push("x");
  const shmlane::SegmentInfo info = shmlane::inspect_segment(name());
  CHECK(info.participants.size() == 2);
  CHECK(info.stat.pushed == 3);
  Producer heir(name());
  CHECK(shmlane::inspect_segment(name()).participants.back().counters.pushed == 3);
  CHECK(consumer.pop_many(9).size() == 3);
}

}  // namespace
