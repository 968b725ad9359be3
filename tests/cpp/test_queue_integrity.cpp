// SPDX-License-Identifier: Apache-2.0
// What is pushed arrives: each object exactly once, whole, in its producer's order, between real processes.
#include <algorithm>
#include <atomic>
#include <random>

#include "shmlane/queue.hpp"
#include "support/payloads.hpp"
#include "support/processes.hpp"
#include "support/shm.hpp"

namespace {

using payloads::Stamp;
using processes::Child;
using processes::expect;
using shmlane::Consumer;
using shmlane::Producer;

constexpr std::uint32_t kObjects = 100'000;

struct Board {  // what parent and children tell each other
  std::atomic<unsigned> opened{0};
  std::atomic<unsigned> order_broken{0};
  std::atomic<std::uint8_t> seen[kObjects]{};
};

// Nobody pushes before everybody is there: else the stream could end before the last producer came.
void meet(Board& board, unsigned everybody) {
  board.opened.fetch_add(1);
  processes::wait_until([&] { return board.opened.load() == everybody; });
}

// Mostly small, one in 256 large: 1 to 64 KiB.
std::size_t size_of(std::mt19937& random) {
  const std::size_t number = random();
  return 8 + (number % 256 == 0 ? 1024 + (number >> 8) % 63'000 : (number >> 8) % 600);
}

void produce(const std::string& name, Board& board, unsigned everybody, std::uint32_t me, std::uint32_t count,
             std::uint64_t capacity) {
  Producer producer(name, {{.capacity = capacity}});
  meet(board, everybody);
  std::mt19937 random(me);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::size_t size = std::min<std::size_t>(size_of(random), payloads::payload_for(capacity));
    expect(payloads::push_stamped(producer, {me, i}, size) == shmlane::PushResult::kPushed, "a push was refused");
  }
}

void consume(const std::string& name, Board& board, unsigned everybody, unsigned producers, std::uint32_t count) {
  Consumer consumer(name);
  meet(board, everybody);
  std::vector<std::int64_t> last(producers, -1);
  const auto note = [&](const shmlane::Received& object) {
    const Stamp stamp = payloads::check_stamped(object.payload());
    expect(stamp.producer < producers && stamp.sequence < count, "an object of nobody arrived");
    if (stamp.sequence <= last[stamp.producer]) board.order_broken.fetch_add(1);
    last[stamp.producer] = stamp.sequence;
    board.seen[stamp.producer * count + stamp.sequence].fetch_add(1);
  };
  // Leases and copies by turns.
  for (bool ended = false; !ended;) {
    for (int i = 0; i < 100 && !ended; ++i) {
      if (auto lease = consumer.acquire()) {
        note(*lease);
      } else {
        ended = true;
      }
    }
    for (const shmlane::Object& object : consumer.pop_many(100)) note(object);
    ended = ended || consumer.ended();
  }
}

void check_topology(const ShmTest& test, unsigned producers, unsigned consumers, std::uint64_t capacity,
                    std::uint32_t objects = kObjects) {
  const processes::Shared<Board> board;
  const std::uint32_t each = objects / producers;
  const unsigned everybody = producers + consumers;
  const std::string name = test.name();
  std::vector<Child> children;
  for (unsigned i = 0; i < consumers; ++i) {
    children.emplace_back([&] { consume(name, *board, everybody, producers, each); });
  }
  for (unsigned i = 0; i < producers; ++i) {
    children.emplace_back([&, i] { produce(name, *board, everybody, i, each, capacity); });
  }
  CHECK(processes::join_all(children) == "");
  CHECK(board->order_broken == 0);
  std::uint32_t once = 0;
  for (const auto& count : board->seen) once += count == 1;
  CHECK(once == each * producers);
  CHECK(std::all_of(std::begin(board->seen), std::end(board->seen), [](const auto& count) { return count <= 1; }));
}

TEST_CASE_FIXTURE(ShmTest, "one producer and one consumer pass 100,000 objects, each once and in order") {
  check_topology(*this, 1, 1, 4 << 20);
}

TEST_CASE_FIXTURE(ShmTest, "four producers and four consumers pass 100,000 objects, each once and in order") {
  check_topology(*this, 4, 4, 4 << 20);
}

TEST_CASE_FIXTURE(ShmTest, "one producer and four consumers pass 100,000 objects, each once and in order") {
  check_topology(*this, 1, 4, 4 << 20);
}

TEST_CASE_FIXTURE(ShmTest, "four producers and one consumer pass 100,000 objects, each once and in order") {
  check_topology(*this, 4, 1, 4 << 20);
}

TEST_CASE_FIXTURE(ShmTest, "eight producers and three consumers pass 100,000 objects, each once and in order") {
  check_topology(*this, 8, 3, 4 << 20);
}

TEST_CASE_FIXTURE(ShmTest, "two producers and two consumers share a ring of a single page") {
  check_topology(*this, 2, 2, 4096, 10'000);
}

// Producer and consumer by turns fill and empty the ring `count` times.
void check_ping_pong(const ShmTest& test, std::size_t payload, std::uint32_t count) {
  const std::string name = test.name();
  std::vector<Child> children;
  children.emplace_back([&] {
    Consumer consumer(name);
    std::uint32_t next = 0;
    while (auto object = consumer.pop()) {
      expect(object->payload().size() == payload, "an object has another size");
      expect(payloads::check_stamped(object->payload()).sequence == next++, "an object is out of order");
    }
    expect(next == count, "the end came after " + std::to_string(next));
  });
  children.emplace_back([&] {
    Producer producer(name, {{.capacity = 4096}});
    for (std::uint32_t i = 0; i < count; ++i) payloads::push_stamped(producer, {0, i}, payload);
  });
  CHECK(processes::join_all(children) == "");
}

TEST_CASE_FIXTURE(ShmTest, "a ring that holds one frame passes thousands of them") {
  check_ping_pong(*this, 4000, 5000);
}

TEST_CASE_FIXTURE(ShmTest, "a ring that is exactly one frame passes thousands of them") {
  check_ping_pong(*this, payloads::payload_for(4096), 5000);
}

TEST_CASE_FIXTURE(ShmTest, "a ring that holds two frames passes thousands of them") {
  check_ping_pong(*this, 1950, 5000);
}

TEST_CASE_FIXTURE(ShmTest, "a ring that is exactly two frames passes thousands of them") {
  check_ping_pong(*this, payloads::payload_for(2048), 5000);
}

TEST_CASE_FIXTURE(ShmTest, "payloads of 0 bytes to 64 MiB arrive as they were pushed") {
  constexpr std::uint64_t kLargest = std::uint64_t{64} << 20;
  std::vector<std::size_t> sizes = {0, 1, 7, 8, 63, 64, 65, 4095, 4096, 4097, kLargest, 0, kLargest - 1};
  std::mt19937_64 random(7);
  for (int i = 0; i < 40; ++i) sizes.push_back(random() % (std::size_t{1} << (random() % 25)));
  const std::string name = this->name();
  Child consumer([&] {
    Consumer rx(name);
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const auto check = [&](const shmlane::Received& object) {
        expect(object.payload().size() == sizes[i], "object " + std::to_string(i) + " has another size");
        expect(payloads::matches(object.payload(), i), "object " + std::to_string(i) + " has other bytes");
        expect(reinterpret_cast<std::uintptr_t>(object.payload().data()) % 64 == 0, "a payload is not aligned");
      };
      if (i % 2 == 0) {
        auto object = rx.pop();
        check(*object);
      } else {
        auto lease = rx.acquire();
        check(*lease);
      }
    }
    expect(rx.pop().ended(), "the end is missing");
  });
  {
    Producer tx(name, {{.capacity = kLargest + 4096}});
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      tx.push_frame(R"({"type":"bytes"})", sizes[i], shmlane::forever, &i,
                    [](const void* seed, std::span<std::byte> out) {
                      payloads::fill(out, *static_cast<const std::size_t*>(seed));
                    });
    }
  }
  CHECK(consumer.join() == "");
}

}  // namespace
