// SPDX-License-Identifier: Apache-2.0
// Leases and reservations: holding places of the ring while everything else goes on, and what happens at their ends.
#include <algorithm>
#include <atomic>
#include <fstream>
#include <optional>
#include <random>
#include <thread>

#include "atomic.hpp"
#include "shmlane/error.hpp"
#include "shmlane/queue.hpp"
#include "support/payloads.hpp"
#include "support/processes.hpp"
#include "support/raw_segment.hpp"
#include "support/shm.hpp"

namespace {

using namespace std::chrono_literals;
using payloads::text;
using processes::Child;
using shmlane::Consumer;
using shmlane::Lease;
using shmlane::Producer;
using shmlane::PushResult;
using shmlane::Reservation;

constexpr std::string_view kBytes = R"({"type":"bytes"})";

void write(const Reservation& reservation, std::string_view characters) {
  REQUIRE(reservation.payload().size() >= characters.size());
  std::memcpy(reservation.payload().data(), characters.data(), characters.size());
}

Reservation reserve(Producer& producer, std::string_view characters) {
  std::optional<Reservation> reservation = producer.reserve(kBytes, characters.size());
  REQUIRE(reservation);
  write(*reservation, characters);
  return std::move(*reservation);
}

// Whether the address lies in a mapping of the segment.
bool in_segment(const std::string& name, const void* address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::size_t begin = 0, end = 0;
    if (line.find("/shmlane." + name) == line.npos) continue;
    if (std::sscanf(line.c_str(), "%zx-%zx", &begin, &end) != 2) continue;
    const auto number = reinterpret_cast<std::size_t>(address);
    if (number >= begin && number < end) return true;
  }
  return false;
}

TEST_CASE_FIXTURE(ShmTest, "a lease views the ring's memory, and pop copies out of it") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 65536}});
  producer.push("leased");
  producer.push("popped");
  auto lease = consumer.acquire();
  auto object = consumer.pop();
  CHECK(in_segment(name(), lease->payload().data()));
  CHECK(in_segment(name(), lease->metadata_text().data()));
  CHECK_FALSE(in_segment(name(), object->payload().data()));
  CHECK_FALSE(in_segment(name(), object->metadata_text().data()));
}

TEST_CASE_FIXTURE(ShmTest, "a lease stays as it is while everything else goes on for less than one lap") {
  Consumer holder(name()), consumer(name());
  Producer producer(name(), {{.capacity = 65536}});
  payloads::push_stamped(producer, {0, 0}, 1000);
  auto lease = holder.acquire();
  for (std::uint32_t i = 1; i <= 58; ++i) {  // frames of 1,088 bytes: 59 of them are less than the ring
    REQUIRE(payloads::push_stamped(producer, {0, i}, 1000, shmlane::no_wait) == PushResult::kPushed);
    auto object = consumer.pop();
    CHECK(payloads::check_stamped(object->payload()).sequence == i);
  }
  CHECK(payloads::check_stamped(lease->payload()).sequence == 0);
}

TEST_CASE_FIXTURE(ShmTest, "a ring pinned by a lease is full after the time given, and says who holds it") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  const processes::Shared<std::atomic<bool>> let_go;
  producer.push("first");
  Child holder([&] {
    Consumer mine(name());
    auto lease = mine.acquire();
    processes::wait_until([&] { return let_go->load(); });
  });
  processes::wait_until([&] { return producer.size() == 0; });
  while (producer.try_push("more") == PushResult::kPushed) static_cast<void>(consumer.pop());
  const auto begin = std::chrono::steady_clock::now();
  CHECK(producer.push("more", 120ms) == PushResult::kFull);
  CHECK(std::chrono::steady_clock::now() - begin >= 120ms);
  const std::string why = producer.why_full();
  CHECK_MESSAGE(why.find("process " + std::to_string(holder.pid()) + " ") != why.npos, why);
  CHECK_MESSAGE(why.find("lease") != why.npos, why);
  let_go->store(true);
  CHECK(producer.push("more", 20s) == PushResult::kPushed);
  CHECK(holder.join() == "");
  CHECK(text(*consumer.pop()) == "more");
}

TEST_CASE_FIXTURE(ShmTest, "a ring pinned by a reservation says who holds it") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  const processes::Shared<std::atomic<bool>> held, let_go;
  Child holder([&] {
    Producer mine(name());
    const auto reservation = mine.reserve(kBytes, 10);
    held->store(true);
    processes::wait_until([&] { return let_go->load(); });
  });
  processes::wait_until([&] { return held->load(); });
  while (producer.try_push("more") == PushResult::kPushed) CHECK(text(*consumer.pop()) == "more");
  const std::string why = producer.why_full();
  CHECK_MESSAGE(why.find("process " + std::to_string(holder.pid()) + " ") != why.npos, why);
  CHECK_MESSAGE(why.find("reservation") != why.npos, why);
  let_go->store(true);
  CHECK(producer.push("more", 20s) == PushResult::kPushed);  // the reservation ended without a commit
  CHECK(holder.join() == "");
  CHECK(text(*consumer.pop()) == "more");
}

TEST_CASE_FIXTURE(ShmTest, "a reservation that is kept open does not delay what others push") {
  Consumer consumer(name());
  Producer slow(name(), {{.capacity = 65536}});
  Producer fast(name());
  Reservation open = reserve(slow, "late");
  for (std::uint32_t i = 0; i < 200; ++i) {
    payloads::push_stamped(fast, {0, i}, 100);
    auto object = consumer.pop(20s);
    REQUIRE(object);
    CHECK(payloads::check_stamped(object->payload()).sequence == i);
  }
  CHECK(consumer.try_pop().empty());
  open.commit();
  CHECK(text(*consumer.pop(20s)) == "late");
}

TEST_CASE_FIXTURE(ShmTest,
                  "one producer's objects keep their order beside more open reservations than are remembered") {
  for (const unsigned held : {1U, shmlane::wire::kMaxSkipped, shmlane::wire::kMaxSkipped + 1, 100U}) {
    CAPTURE(held);
    Consumer consumer(name());
    Producer slow(name(), {{.capacity = 65536}}), steady(name());
    std::vector<Reservation> open;
    for (unsigned i = 0; i < held; ++i) {
      open.push_back(reserve(slow, "slow " + std::to_string(i)));
      payloads::push_stamped(steady, {0, i}, 100);
    }
    for (unsigned i = 0; i < held; ++i) {
      CHECK(payloads::check_stamped(consumer.pop(20s)->payload()).sequence == i);
    }
    CHECK(consumer.try_pop().empty());
    // Committed backwards, they still arrive by their place in the ring whenever several are there.
    for (unsigned i = held; i-- > 0;) open[i].commit();
    for (unsigned i = 0; i < held; ++i) CHECK(text(*consumer.pop(20s)) == "slow " + std::to_string(i));
    CHECK(consumer.try_pop().empty());
  }
}

TEST_CASE_FIXTURE(ShmTest, "an aborted reservation is never delivered and its room is used again") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  for (int i = 0; i < 10; ++i) {
    std::optional<Reservation> whole = producer.reserve(kBytes, payloads::payload_for(4096), shmlane::no_wait);
    REQUIRE(whole);
    CHECK(producer.try_push("no room") == PushResult::kFull);
    if (i % 2 == 0) whole->abort();
    whole.reset();
    CHECK(consumer.try_pop().empty());
  }
  CHECK(producer.stat().pushed == 0);
}

TEST_CASE_FIXTURE(ShmTest,
                  "a reservation may commit fewer bytes and other metadata, but not more than it has room for") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 65536}});
  const std::string other = R"({"type":"bytes","x":")" + std::string(20, 'x') + "\"}";
  Reservation reservation = std::move(*producer.reserve(other, 1000));
  write(reservation, "abcdef");
  CHECK_THROWS_AS(reservation.commit(kBytes, 1001), shmlane::TooLarge);
  CHECK_THROWS_AS(reservation.commit(std::string(200, '{'), 3), shmlane::TooLarge);
  CHECK(reservation.open());
  reservation.commit(R"({"type":"text"})", 3);
  auto object = consumer.pop();
  CHECK(object->metadata_text() == R"({"type":"text"})");
  CHECK(text(*object) == "abc");

  Reservation empty = std::move(*producer.reserve(kBytes, 1000));
  empty.commit(kBytes, 0);
  CHECK(consumer.pop()->metadata_text() == kBytes);
}

TEST_CASE_FIXTURE(ShmTest, "leases may be released in any order") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    std::uint32_t count = 0;
    while (payloads::push_stamped(producer, {0, count}, 100, shmlane::no_wait) == PushResult::kPushed) ++count;
    REQUIRE(count > 10);
    std::vector<Lease> leases = consumer.acquire_many(count, 20s);
    REQUIRE(leases.size() == count);
    for (std::uint32_t i = 0; i < count; ++i) CHECK(payloads::check_stamped(leases[i].payload()).sequence == i);
    std::shuffle(leases.begin(), leases.end(), random);
    for (Lease& lease : leases) lease.release();
    CHECK(producer.stat().used == 0);
  }
}

TEST_CASE_FIXTURE(ShmTest, "a lease outlives its consumer, and only its end removes the segment") {
  Lease lease;
  {
    Consumer consumer(name());
    {
      Producer producer(name(), {{.capacity = 4096}});
      producer.push("kept");
    }
    lease = std::move(*consumer.acquire());
    consumer.close();
    CHECK(text(lease) == "kept");
  }
  CHECK(text(lease) == "kept");
  CHECK(exists());
  lease.release();
  CHECK_FALSE(exists());
}

TEST_CASE_FIXTURE(ShmTest, "a reservation outlives its producer, and the end of stream waits for it") {
  Consumer consumer(name());
  std::optional<Reservation> reservation;
  {
    Producer producer(name(), {{.capacity = 4096}});
    reservation = producer.reserve(kBytes, 4);
    write(*reservation, "late");
  }
  CHECK(consumer.pop(20ms).empty());
  SUBCASE("committed") {
    reservation->commit();
    CHECK(text(*consumer.pop(20s)) == "late");
  }
  SUBCASE("aborted") { reservation->abort(); }
  CHECK(consumer.pop(20s).ended());
}

TEST_CASE_FIXTURE(ShmTest, "a lease that was released and a reservation that ended say so") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  producer.push("x");
  Lease lease = std::move(*consumer.acquire());
  lease.release();
  lease.release();
  CHECK_THROWS_AS(static_cast<void>(lease.payload()), shmlane::Closed);
  CHECK_THROWS_AS(static_cast<void>(lease.metadata()), shmlane::Closed);
  CHECK_THROWS_AS(static_cast<void>(lease.get<std::string>()), shmlane::Closed);

  Reservation reservation = reserve(producer, "y");
  reservation.commit();
  CHECK_FALSE(reservation.open());
  CHECK_THROWS_AS(reservation.commit(), shmlane::Closed);
  CHECK_THROWS_AS(static_cast<void>(reservation.payload()), shmlane::Closed);
  reservation.abort();
  CHECK(text(*consumer.pop()) == "y");
}

TEST_CASE_FIXTURE(ShmTest, "a lease or reservation that was moved from holds nothing") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  producer.push("a");
  producer.push("b");
  Lease first = std::move(*consumer.acquire());
  Lease second = std::move(first);
  CHECK_THROWS_AS(static_cast<void>(first.payload()), shmlane::Closed);
  CHECK(text(second) == "a");
  second = std::move(*consumer.acquire());  // gives "a" back
  CHECK(text(second) == "b");
  second.release();
  CHECK(producer.stat().used == 0);

  Reservation one = reserve(producer, "c");
  Reservation two = std::move(one);
  CHECK_FALSE(one.open());
  two = reserve(producer, "d");  // aborts "c"
  two.commit();
  CHECK(text(*consumer.pop()) == "d");
}

struct Poison {
  bool bad;
};

}  // namespace

template <>
struct shmlane::Codec<Poison> {
  static std::string_view metadata(const Poison&) { return kBytes; }
  static std::uint64_t payload_size(const Poison&) { return 10; }
  static void write(const Poison& poison, std::span<std::byte> out) {
    if (poison.bad) throw std::runtime_error("cannot be written");
    payloads::fill(out, 1);
  }
};

namespace {

TEST_CASE_FIXTURE(ShmTest, "a writer that throws publishes nothing and holds nothing, alone or in a batch") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  CHECK_THROWS_WITH(producer.push(Poison{true}), "cannot be written");
  const std::vector<Poison> batch = {{false}, {false}, {true}, {false}, {false}};
  CHECK_THROWS_WITH(producer.push_many(std::span(batch)), "cannot be written");
  CHECK(consumer.pop_many(10, shmlane::no_wait).size() == 2);
  CHECK(producer.stat().used == 0);
  CHECK(producer.size() == 0);
  const auto whole = producer.reserve(kBytes, payloads::payload_for(4096), shmlane::no_wait);
  CHECK(whole.has_value());
}

// A producer may move on over what is surely finished; two threads of one participant must not mistake each other's
// leases for that.
TEST_CASE_FIXTURE(ShmTest, "threads that share a consumer read their leases in peace while the ring goes round" *
                               doctest::skip(kMappingsLookApart)) {
  constexpr std::uint32_t kCount = 20'000;
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 8192}});
  std::atomic<std::uint32_t> taken{0}, torn{0};
  const auto read = [&](const Lease& lease) {
    try {
      payloads::check_stamped(lease.payload());
    } catch (const std::runtime_error&) {
      ++torn;
    }
  };
  std::vector<std::thread> readers;
  for (unsigned reader = 0; reader < 3; ++reader) {
    readers.emplace_back([&, reader] {
      std::vector<Lease> held;  // let go when nothing comes: the producer may wait for that room
      for (auto lease = consumer.acquire(1ms); !lease.ended(); lease = consumer.acquire(1ms)) {
        taken += lease ? 1 : 0;
        if (lease) held.push_back(*std::move(lease));
        while (held.size() > (lease ? reader : 0)) {
          read(held.front());
          held.erase(held.begin());
        }
      }
      for (const Lease& lease : held) read(lease);
    });
  }
  for (std::uint32_t i = 0; i < kCount; ++i) {
    auto reservation = producer.reserve(kBytes, 200 + i % 300);
    payloads::fill_stamped(reservation->payload(), {0, i});
    reservation->commit();
  }
  producer.close();
  for (std::thread& reader : readers) reader.join();
  CHECK(taken == kCount);
  CHECK(torn == 0);
}

TEST_CASE_FIXTURE(ShmTest, "who waited for the lock while another thread took a lease does not overlook that lease") {
  Consumer consumer(name(), {{.capacity = 8192}});
  Consumer holder(name());
  Producer producer(name());
  const raw::Segment segment(name());
  const auto lock = shmlane::atomic(segment.control().consumers_lock);
  for (int round = 0; round < 6; ++round) {
    producer.push("first");
    producer.push("second");
    const std::uint64_t oldest = segment.control().read.value;
    lock.store(shmlane::make_id(1, shmlane::EntryWord::unpack(segment.entry(1).word).generation));
    std::optional<Lease> one, another;
    std::thread early([&] { one = std::move(*consumer.acquire(20s)); });
    std::this_thread::sleep_for(50ms);  // its next look comes late
    std::thread late([&] { another = std::move(*consumer.acquire(20s)); });
    std::this_thread::sleep_for(2ms);
    lock.store(0);
    early.join();
    late.join();
    CHECK(segment.entry(0).oldest_lease <= oldest);
  }
}

}  // namespace
