// SPDX-License-Identifier: Apache-2.0
// Tidying up from outside: what is nobody's goes, what is somebody's stays, and the dead are settled.
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
using shmlane::Producer;

const shmlane::ProducerOptions kAlone{{.capacity = 4096}, shmlane::Policy::kBlock, shmlane::forever};

void leave_behind(const std::string& name, int objects, bool cleanly) {
  const std::string outcome = processes::run_in_child([&] {
    Producer producer(name, kAlone);
    for (int i = 0; i < objects; ++i) producer.push("x");
    if (!cleanly) ::kill(::getpid(), SIGKILL);
  });
  CHECK(outcome == (cleanly ? "" : "died of signal 9"));
}

TEST_CASE_FIXTURE(ShmTest, "remove_remains removes an empty segment in which everybody died") {
  leave_behind(name(), 0, false);
  CHECK(shmlane::remove_remains(name()));
  CHECK(files().empty());
  CHECK_THROWS_AS(static_cast<void>(shmlane::remove_remains(name())), shmlane::NotFound);
}

TEST_CASE_FIXTURE(ShmTest, "remove_remains keeps objects and what was left cleanly, unless forced") {
  SUBCASE("a crash with an object") { leave_behind(name(), 1, false); }
  SUBCASE("left with an object") { leave_behind(name(), 1, true); }
  SUBCASE("left empty") { leave_behind(name(), 0, true); }
  CHECK_FALSE(shmlane::remove_remains(name()));
  CHECK(files().size() == 3);
  CHECK(shmlane::remove_remains(name(), true));
}

TEST_CASE_FIXTURE(ShmTest, "remove_remains never touches a segment in which somebody lives, not even by force") {
  Producer producer(name(), kAlone);
  CHECK_FALSE(shmlane::remove_remains(name()));
  CHECK_FALSE(shmlane::remove_remains(name(), true));
  Consumer consumer(name());
  producer.push("x");
  CHECK(consumer.pop());
}

TEST_CASE_FIXTURE(ShmTest, "remove_remains finishes what a maker or a remover left undone") {
  SUBCASE("only a file") { CHECK(::close(::open(raw::path_of(name()).c_str(), O_CREAT | O_RDWR, 0600)) == 0); }
  SUBCASE("zeros") { const raw::Segment made(name(), shmlane::wire::kBodyOffset); }
  SUBCASE("a header without its state") {
    const raw::Segment made(name(), shmlane::wire::kBodyOffset);
    made.header() = raw::valid_header();
    made.header().state = 0;
  }
  SUBCASE("removed, but for its name") {
    leave_behind(name(), 1, true);
    raw::Segment(name()).header().state = static_cast<std::uint32_t>(shmlane::wire::SegmentState::kRemoved);
  }
  CHECK(shmlane::remove_remains(name()));
  CHECK(files().empty());
}

TEST_CASE_FIXTURE(ShmTest, "remove_remains refuses what it cannot judge") {
  {
    const raw::Segment made(name(), shmlane::wire::kBodyOffset);
    made.header() = raw::valid_header();
    made.header().layout += 1;
    CHECK_THROWS_AS(static_cast<void>(shmlane::remove_remains(name(), true)), shmlane::WrongLayout);
    made.header().magic += 1;
    CHECK_THROWS_AS(static_cast<void>(shmlane::remove_remains(name(), true)), shmlane::Foreign);
  }
  CHECK(exists());
  std::filesystem::remove(raw::path_of(name()));
}

TEST_CASE_FIXTURE(ShmTest, "reap_segment settles the dead, attaches nobody for long, and makes no segment") {
  CHECK_THROWS_AS(shmlane::reap_segment(name()), shmlane::NotFound);
  CHECK(files().empty());
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  producer.push("x");
  Child victim([&] {
    Consumer mine(name());
    const auto lease = mine.acquire();
    ::kill(::getpid(), SIGKILL);
  });
  CHECK(victim.join() == "died of signal 9");
  CHECK(shmlane::inspect_segment(name()).participants.size() == 3);
  CHECK(shmlane::reap_segment(name()) == 1);
  CHECK(shmlane::inspect_segment(name()).participants.size() == 2);
  CHECK(shmlane::reap_segment(name()) == 0);
  CHECK(consumer.pop()->attempt() == 1);
}

TEST_CASE_FIXTURE(ShmTest, "reap_segment leaves a half-made segment alone, and keeps the objects of a crash") {
  SUBCASE("half-made") {
    { const raw::Segment made(name(), shmlane::wire::kBodyOffset); }
    CHECK_THROWS_AS(shmlane::reap_segment(name()), shmlane::NotFound);
    CHECK(shmlane::remove_remains(name()));
  }
  SUBCASE("a crash") {
    leave_behind(name(), 1, false);
    CHECK(shmlane::reap_segment(name()) == 1);
    Consumer consumer(name());
    CHECK(consumer.pop());
    CHECK(consumer.pop().ended());
  }
}

TEST_CASE_FIXTURE(ShmTest, "inspect_segment shows sleepers, locks and who holds the oldest frame") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  Child sleeper([&] {
    Consumer mine(name());
    static_cast<void>(mine.pop());
  });
  processes::wait_until([&] { return shmlane::inspect_segment(name()).items_waiters == 1; });
  CHECK(shmlane::inspect_segment(name()).space_waiters == 0);
  producer.push("x");
  CHECK(sleeper.join().empty());
  producer.push("y");
  producer.push("z");
  const auto first = consumer.acquire();
  const auto second = producer.reserve(R"({"type":"bytes"})", 10);
  const raw::Segment memory(name());
  shmlane::SegmentInfo info = shmlane::inspect_segment(name());
  REQUIRE(info.participants.size() == 2);
  CHECK(info.participants[0].at_tail);
  CHECK_FALSE(info.participants[1].at_tail);
  CHECK(info.participants[1].holds.size() == 1);
  CHECK_FALSE(info.locked);
  memory.control().consumers_lock = info.participants[1].id;
  info = shmlane::inspect_segment(name());
  CHECK(info.participants[1].consumers_lock);
  CHECK_FALSE(info.participants[1].producers_lock);
  CHECK_FALSE(info.participants[0].consumers_lock);
  memory.control().consumers_lock = 0;
  CHECK(consumer.pop());
}

}  // namespace
