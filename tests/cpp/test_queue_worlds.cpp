// SPDX-License-Identifier: Apache-2.0
// Participants that are neither well nor gone: stopped in the middle, zombies, under a PID that lives again.
#include <sys/wait.h>

#include <atomic>
#include <thread>

#include "atomic.hpp"
#include "participants.hpp"
#include "queue_core.hpp"
#include "shmlane/queue.hpp"
#include "support/payloads.hpp"
#include "support/processes.hpp"
#include "support/raw_segment.hpp"
#include "support/shm.hpp"

namespace {

using namespace std::chrono_literals;
using payloads::text;
using processes::Child;
using processes::expect;
using shmlane::Consumer;
using shmlane::Policy;
using shmlane::Producer;
using shmlane::PushResult;

constexpr std::string_view kBytes = R"({"type":"bytes"})";

void wait_until_stopped(const Child& child) {
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WSTOPPED | WNOWAIT) == 0);
  REQUIRE(info.si_code == CLD_STOPPED);
}

void wait_until_zombie(const Child& child) {
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT) == 0);
  REQUIRE(::kill(child.pid(), 0) == 0);  // to whoever asks that way it lives
}

// Stops the child, again and again, until it is caught while `lock` names it.
void stop_while_it_holds(const Child& child, const raw::Segment& segment, std::uint64_t& lock) {
  for (;;) {
    child.signal(SIGSTOP);
    wait_until_stopped(child);
    const std::uint64_t holder = shmlane::atomic(lock).load();
    if (holder != 0 && segment.entry(shmlane::id_index(holder)).pid == static_cast<std::uint32_t>(child.pid())) return;
    child.signal(SIGCONT);
    int status = 0;
    REQUIRE(::waitpid(child.pid(), &status, WCONTINUED) == child.pid());
    std::this_thread::sleep_for(50us);
  }
}

// ---- Stopped -------------------------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(ShmTest,
                  "a producer that is stopped in the middle of its copy is in nobody's way until the ring went round") {
  Consumer consumer(name(), {{.capacity = 4096}});
  Producer other(name());
  const auto half_then_stop = [](const void*, std::span<std::byte> out) {
    std::fill(out.begin(), out.begin() + 50, std::byte{'a'});
    ::kill(::getpid(), SIGSTOP);
    std::fill(out.begin() + 50, out.end(), std::byte{'b'});
  };
  Child stopped(
      [&, name = name()] { Producer(name).push_frame(kBytes, 100, shmlane::forever, nullptr, half_then_stop); });
  wait_until_stopped(stopped);
  for (int i = 0; i < 10; ++i) {
    CHECK(other.push(std::to_string(i), 20s) == PushResult::kPushed);
    CHECK(text(*consumer.pop(20s)) == std::to_string(i));
  }
  while (other.try_push("x") == PushResult::kPushed) CHECK(text(*consumer.pop(20s)) == "x");
  CHECK(other.push("x", 300ms) == PushResult::kFull);  // long enough that a dead one would have been reaped
  const std::string why = other.why_full();
  CHECK_MESSAGE(why.find("process " + std::to_string(stopped.pid()) + " ") != why.npos, why);
  CHECK(consumer.try_pop().empty());
  stopped.signal(SIGCONT);
  CHECK(text(*consumer.pop(20s)) == std::string(50, 'a') + std::string(50, 'b'));
  CHECK(stopped.join() == "");
  CHECK(other.push("x", 20s) == PushResult::kPushed);
  CHECK(text(*consumer.pop(20s)) == "x");
}

TEST_CASE_FIXTURE(ShmTest, "a consumer that is stopped with a lease keeps it, and the others take what follows") {
  Consumer consumer(name(), {{.capacity = 4096}});
  Producer producer(name());
  producer.push("first");
  Child stopped([&, name = name()] {
    Consumer mine(name);
    const auto lease = mine.acquire();
    ::kill(::getpid(), SIGSTOP);
    expect(text(*lease) == "first", "the lease has changed");
  });
  wait_until_stopped(stopped);
  producer.push("second");
  CHECK(text(*consumer.pop(20s)) == "second");
  CHECK(consumer.pop(300ms).empty());
  CHECK(consumer.stat().redelivered == 0);
  stopped.signal(SIGCONT);
  CHECK(stopped.join() == "");
  CHECK(producer.stat().used == 0);
}

TEST_CASE_FIXTURE(
    ShmTest,
    "a producer that is stopped while it holds a lock makes the others wait as long as they asked, and keeps it") {
  Consumer consumer(name(), {{.capacity = 4096}});
  Producer other(name());
  const raw::Segment segment(name());
  std::uint64_t& lock = segment.control().producers_lock;
  Child stopped([&, name = name()] {
    Producer mine(name);
    while (mine.wait(shmlane::no_wait)) {
    }
  });
  stop_while_it_holds(stopped, segment, lock);
  const std::uint64_t holder = shmlane::atomic(lock).load();
  CHECK(other.try_push("x") == PushResult::kFull);
  CHECK(other.push("x", 300ms) == PushResult::kFull);
  const std::string why = other.why_full();
  CHECK_MESSAGE(why.find("process " + std::to_string(stopped.pid()) + " ") != why.npos, why);
  CHECK_MESSAGE(why.find("lock") != why.npos, why);
  CHECK(shmlane::atomic(lock).load() == holder);
  CHECK(consumer.try_pop().empty());  // the consumers' lock is another one
  std::thread later([&] {
    processes::wait_until([&] { return processes::sleeps(::getpid()); });
    stopped.signal(SIGCONT);
  });
  CHECK(other.push("x", 20s) == PushResult::kPushed);
  later.join();
  CHECK(text(*consumer.pop(20s)) == "x");
  CHECK(other.stat().recovered == 0);
}

TEST_CASE_FIXTURE(
    ShmTest,
    "a consumer that is stopped while it holds a lock makes the others wait as long as they asked, and keeps it") {
  Consumer other(name(), {{.capacity = 4096}});
  Producer producer(name());
  const raw::Segment segment(name());
  std::uint64_t& lock = segment.control().consumers_lock;
  Child stopped([&, name = name()] {
    Consumer mine(name);
    for (;;) static_cast<void>(mine.wait(shmlane::no_wait));
  });
  stop_while_it_holds(stopped, segment, lock);
  const std::uint64_t holder = shmlane::atomic(lock).load();
  CHECK(producer.push("x", 20s) == PushResult::kPushed);
  CHECK(other.try_pop().empty());
  CHECK(other.pop(300ms).empty());
  CHECK(shmlane::atomic(lock).load() == holder);
  stopped.signal(SIGCONT);
  CHECK(text(*other.pop(20s)) == "x");
  CHECK(other.stat().recovered == 0);
}

TEST_CASE_FIXTURE(ShmTest, "a lock whose holder is killed is taken over, and counted") {
  Consumer consumer(name(), {{.capacity = 4096}});
  Producer other(name());
  const raw::Segment segment(name());
  Child victim([&, name = name()] {
    Producer mine(name);
    while (mine.wait(shmlane::no_wait)) {
    }
  });
  stop_while_it_holds(victim, segment, segment.control().producers_lock);
  victim.kill();
  CHECK(other.push("x", 20s) == PushResult::kPushed);
  CHECK(text(*consumer.pop(20s)) == "x");
  CHECK(other.stat().recovered == 1);
}

// ---- Leaving without having settled everything ---------------------------------------------------------------------

// A consumer that holds a frame for which there is no lease any more, as after a copy that failed.
struct Holder {
  explicit Holder(const std::string& name) : core(name, {}, shmlane::wire::kRoleConsumer, {}) {
    shmlane::Place place{};
    const shmlane::os::Deadline deadline(shmlane::no_wait);
    REQUIRE(core.ring()->acquire(core.attachment().me(), [] { return true; }, deadline, {&place, 1}) == 1);
  }
  shmlane::QueueCore core;
};

TEST_CASE_FIXTURE(ShmTest,
                  "what somebody still holds who leaves while a lock is held by a stopped one is redelivered") {
  Consumer other(name(), {{.capacity = 4096}});
  Producer producer(name());
  const raw::Segment segment(name());
  producer.push("held");
  Holder holder(name());
  const auto keep_looking = [](auto&& handle) {
    for (;;) static_cast<void>(handle.wait(shmlane::no_wait));
  };
  const auto leave_while_stopped = [&](const Child& stopped, std::uint64_t& lock) {
    stop_while_it_holds(stopped, segment, lock);
    holder.core.close();
    CHECK(other.pop(300ms).empty());
    CHECK(other.stat().redelivered == 0);
    stopped.signal(SIGCONT);
    const auto object = other.pop(20s);
    REQUIRE(object);
    CHECK(text(*object) == "held");
    CHECK(object->attempt() == 1);
  };
  SUBCASE("the producers' lock") {
    const Child stopped([&, name = name()] { keep_looking(Producer(name)); });
    leave_while_stopped(stopped, segment.control().producers_lock);
  }
  SUBCASE("the consumers' lock") {
    const Child stopped([&, name = name()] { keep_looking(Consumer(name)); });
    leave_while_stopped(stopped, segment.control().consumers_lock);
  }
  producer.close();
  CHECK(other.pop(20s).ended());
  CHECK(other.stat().used == 0);
}

TEST_CASE_FIXTURE(ShmTest, "what somebody still holds who fails at leaving is redelivered") {
  Consumer other(name(), {{.capacity = 4096}});
  Producer(name()).push("held");
  Holder holder(name());
  holder.core.attachment().leave([]() -> bool { throw std::runtime_error("on purpose"); });
  const auto object = other.pop(20s);
  REQUIRE(object);
  CHECK(object->attempt() == 1);
  CHECK(other.pop(20s).ended());
  CHECK(other.stat().used == 0);
}

// ---- Dead, but not to everybody ------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(ShmTest, "a zombie is dead: its lease comes back, its reservation goes, and the stream ends") {
  Consumer consumer(name(), {{.capacity = 4096}});
  const processes::Shared<std::atomic<bool>> ready;
  Child zombie([&, name = name()] {
    Producer producer(name);
    Consumer mine(name);
    producer.push("held");
    const auto lease = mine.acquire();
    const auto reservation = producer.reserve(kBytes, 100);
    ready->store(true);
    for (;;) ::pause();
  });
  processes::wait_until([&] { return ready->load(); });
  zombie.signal(SIGKILL);
  wait_until_zombie(zombie);
  auto object = consumer.pop(20s);
  REQUIRE(object);
  CHECK(text(*object) == "held");
  CHECK(object->attempt() == 1);
  CHECK(consumer.pop(20s).ended());
  CHECK(consumer.stat().used == 0);
  CHECK(consumer.stat().producers == 0);
}

TEST_CASE_FIXTURE(ShmTest, "a dead participant whose PID belongs to another process by now is dead") {
  Consumer consumer(name(), {{.capacity = 4096}});
  Child victim([&, name = name()] {
    Producer producer(name);
    Consumer mine(name);
    producer.push("held");
    const auto lease = mine.acquire();
    ::kill(::getpid(), SIGKILL);
  });
  const auto pid = static_cast<std::uint32_t>(victim.pid());
  CHECK(victim.join() == "died of signal 9");
  const raw::Segment segment(name());
  for (unsigned index = 0; index < 8; ++index) {  // as if the kernel had given our own PID to the victim before
    if (segment.entry(index).pid == pid) segment.entry(index).pid = static_cast<std::uint32_t>(::getpid());
  }
  CHECK(text(*consumer.pop(20s)) == "held");
  CHECK(consumer.pop(20s).ended());
}

TEST_CASE_FIXTURE(ShmTest, "a living participant whose entry shows the PID of a dead process lives") {
  Consumer consumer(name(), {{.capacity = 4096}});
  Producer producer(name());
  producer.push("held");
  auto lease = consumer.acquire();
  Child gone([] {});
  const auto dead = static_cast<std::uint32_t>(gone.pid());
  CHECK(gone.join() == "");
  const raw::Segment segment(name());
  for (unsigned index = 0; index < 2; ++index) segment.entry(index).pid = dead;
  CHECK(processes::run_in_child([&, name = name()] {
          Consumer other(name);
          expect(other.pop(300ms).empty(), "somebody living was reaped");
        }) == "");
  CHECK(consumer.stat().producers == 1);
  lease->release();
  CHECK(producer.push("x", 20s) == PushResult::kPushed);
  CHECK(text(*consumer.pop(20s)) == "x");
}

TEST_CASE_FIXTURE(ShmTest, "a forked child that uses what it inherited goes on when its parent dies") {
  Consumer consumer(name(), {{.capacity = 4096}});
  const processes::Shared<std::atomic<bool>> parent_gone;
  Child parent([&, name = name()] {
    Producer producer(name);
    producer.push("parent");
    const auto reservation = producer.reserve(kBytes, 100);
    const pid_t pid = ::fork();
    if (pid != 0) {
      processes::wait_until([&] { return consumer.stat().producers == 2; });
      ::kill(::getpid(), SIGKILL);
    }
    ::alarm(40);
    producer.push("child");
    processes::wait_until([&] { return parent_gone->load(); });
    for (int i = 0; i < 100; ++i) producer.push(std::to_string(i));
    producer.close();
    ::_exit(0);
  });
  CHECK(parent.join() == "died of signal 9");
  CHECK(text(*consumer.pop(20s)) == "parent");
  CHECK(text(*consumer.pop(20s)) == "child");
  processes::wait_until([&] { return consumer.pop(1ms).empty() && consumer.stat().producers == 1; });
  parent_gone->store(true);
  for (int i = 0; i < 100; ++i) CHECK(text(*consumer.pop(20s)) == std::to_string(i));
  CHECK(consumer.pop(20s).ended());
  CHECK(consumer.stat().used == 0);
}

// ---- Survivors that sleep ------------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(ShmTest, "who sleeps is woken by what the death of another one gives back") {
  const std::string name = this->name();
  Consumer consumer(name, {{.capacity = 4096}});
  Producer producer(name);
  const std::vector<std::byte> half(payloads::payload_for(2048));
  const processes::Shared<std::atomic<bool>> held;
  Child victim([&] {
    Consumer mine(name);
    const auto lease = mine.acquire();
    held->store(true);
    for (;;) ::pause();
  });
  producer.push(half);
  processes::wait_until([&] { return held->load(); });
  SUBCASE("a consumer, by the lease") {
    Child sleeper([&] {
      Consumer mine(name);
      const auto object = mine.pop();
      expect(object && object->attempt() == 1, "it is no redelivery");
    });
    processes::wait_until([&] { return consumer.stat().consumers == 3 && processes::sleeps(sleeper.pid()); });
    victim.kill();
    CHECK(sleeper.join() == "");
  }
  SUBCASE("a producer, by the room") {
    producer.push(half);
    CHECK(consumer.pop()->payload().size() == half.size());
    Child sleeper([&] {
      const std::vector<std::byte> whole(payloads::payload_for(4096));
      expect(Producer(name).push(whole) == PushResult::kPushed, "there was no room");
    });
    processes::wait_until([&] { return producer.stat().producers == 2 && processes::sleeps(sleeper.pid()); });
    victim.kill();
    CHECK(text(*consumer.pop(20s)).size() == half.size());
    CHECK(sleeper.join() == "");
    CHECK(consumer.pop(20s)->payload().size() == payloads::payload_for(4096));
  }
  CHECK(producer.stat().used == 0);
}

}  // namespace
