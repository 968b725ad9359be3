// SPDX-License-Identifier: Apache-2.0
// Shared memory that somebody scribbles over: every operation ends, with a result or an error, and nothing crashes.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <memory>
#include <random>

#include "atomic.hpp"
#include "lock.hpp"
#include "shmlane/error.hpp"
#include "shmlane/inspect.hpp"
#include "shmlane/log.hpp"
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
using shmlane::Policy;
using shmlane::Producer;

namespace wire = shmlane::wire;

constexpr std::string_view kBytes = R"({"type":"bytes"})";
constexpr std::uint64_t kCapacity = 8192;

// A queue with handles of every sort and frames of every state, and a way to use all of them.
class Victim {
 public:
  explicit Victim(const std::string& name) : consumer_(name) {
    shmlane::set_log_level(shmlane::LogLevel::kOff);
    producers_.emplace_back(name, shmlane::ProducerOptions{{.capacity = kCapacity}});
    producers_.emplace_back(name, shmlane::ProducerOptions{{}, Policy::kDropOldest});
    producers_.emplace_back(name, shmlane::ProducerOptions{{}, Policy::kDropNewest});
    producers_.emplace_back(name, shmlane::ProducerOptions{{}, Policy::kBlock, 60s, 5});
    producers_.emplace_back(name, shmlane::ProducerOptions{{}, Policy::kDropOldest, 60s, 5});
    for (int i = 0; i < 4; ++i) producers_[0].push(std::string(200, 'x'), 0s);
    lease_ = consumer_.acquire(0s);
    reservation_ = producers_[0].reserve(kBytes, 100, 0s);
    for (int i = 0; i < 2; ++i) producers_[0].push(std::string(300, 'y'), 0s);
    static_cast<void>(consumer_.pop(0s));  // moves the consumers' cursors
  }

  // Errors are answers, too; anything else that is thrown is not.
  void use() {
    for (Producer& producer : producers_) {
      attempt([&] { producer.push(std::string(500, 'z'), 0s); });
      attempt([&] { producer.push(std::vector<std::byte>(payloads::payload_for(kCapacity)), 0s); });
      attempt([&] { producer.push(std::vector<std::byte>(3000), 1ms); });
      attempt([&] {
        if (auto mine = producer.reserve(kBytes, 64, 0s)) mine->commit(kBytes, 10);
      });
      attempt([&] { producer.wait(0s); });
      attempt([&] { static_cast<void>(producer.why_full()); });
    }
    attempt([&] { static_cast<void>(consumer_.wait(0s)); });
    attempt([&] { read(consumer_.acquire(0s)); });
    attempt([&] { read(consumer_.pop(1ms)); });
    attempt([&] {
      for (const shmlane::Object& object : consumer_.pop_many(100, 0s)) sum_ += object.payload().size();
    });
    attempt([&] { static_cast<void>(consumer_.size()); });
    attempt([&] { static_cast<void>(consumer_.stat()); });
  }

  void use_from_outside(const std::string& name) {
    attempt([&] { static_cast<void>(shmlane::inspect_segment(name)); });
    attempt([&] { read(Consumer(name).pop(0s)); });
    attempt([&] { Producer(name).push("x", 0s); });
  }

  void end_holds() {
    attempt([&] {
      if (reservation_) reservation_->commit();
    });
    attempt([&] { lease_->release(); });
  }

 private:
  template <class Operation>
  void attempt(Operation&& operation) {
    try {
      operation();
    } catch (const shmlane::Error&) {
    }
  }

  template <class T>
  void read(shmlane::Taken<T> taken) {
    if (!taken) return;
    for (const std::byte byte : taken->payload()) sum_ += static_cast<unsigned>(byte);
    sum_ += taken->metadata_text().size();
  }

  Consumer consumer_;
  std::vector<Producer> producers_;
  shmlane::Taken<shmlane::Lease> lease_ = shmlane::Taken<shmlane::Lease>::nothing();
  std::optional<shmlane::Reservation> reservation_;
  std::uint64_t sum_ = 0;
};

// Runs `work` on a victim in a child that never says goodbye, and clears up after it.
std::string with_victim(const ShmTest& test, const std::function<void(Victim&, raw::Segment&)>& work) {
  const std::string name = test.name();
  const std::string outcome = processes::run_in_child([&] {
    auto* victim = new Victim(name);  // never destroyed: its memory is not to be trusted
    raw::Segment segment(name);
    work(*victim, segment);
  });
  for (const std::string& file : test.files()) std::filesystem::remove("/dev/shm/" + file);
  return outcome;
}

class Snapshot {
 public:
  explicit Snapshot(raw::Segment& segment)
      : segment_(segment), bytes_(segment.bytes(), segment.bytes() + segment.size()) {}
  void restore() { std::memcpy(segment_.bytes(), bytes_.data(), bytes_.size()); }

 private:
  raw::Segment& segment_;
  std::vector<std::byte> bytes_;
};

std::vector<std::uint64_t> evil_values(std::uint64_t right) {
  std::vector<std::uint64_t> values = {0,         1,         8,          63,          64,           4096,
                                       kCapacity, 1U << 20,  1ULL << 32, 1ULL << 62,  1ULL << 63,   ~0ULL,
                                       ~63ULL,    right + 1, right + 64, right - 64,  right + 4096, right + kCapacity,
                                       ~right,    right - 1, right + 8,  right << 32, kCapacity - 8};
  std::erase(values, right);
  return values;
}

template <class Word>
std::string scribble(const ShmTest& test, const std::function<std::vector<Word*>(raw::Segment&)>& words) {
  return with_victim(test, [&](Victim& victim, raw::Segment& segment) {
    Snapshot snapshot(segment);
    for (Word* word : words(segment)) {
      const Word right = *word;
      for (const std::uint64_t value : evil_values(right)) {
        *word = static_cast<Word>(value);
        victim.use();
        snapshot.restore();
      }
    }
    victim.end_holds();
  });
}

TEST_CASE_FIXTURE(ShmTest, "cursors that make no sense are an error, not a crash or a loop") {
  CHECK(scribble<std::uint64_t>(*this, [](raw::Segment& segment) -> std::vector<std::uint64_t*> {
          wire::RingControl& control = segment.control();
          return {&control.tail, &control.head.value, &control.scan, &control.read.value};
        }) == "");
  CHECK(scribble<std::uint64_t>(*this, [](raw::Segment& segment) -> std::vector<std::uint64_t*> {
          wire::RingControl& control = segment.control();
          return {&control.skipped_count, &control.skipped[0], &control.skipped[1], &control.items_waiters.value,
                  &control.space_waiters.value};
        }) == "");
}

TEST_CASE_FIXTURE(ShmTest, "frames whose headers make no sense are an error, not a crash or a loop") {
  const auto each_frame = [](raw::Segment& segment, auto&& visit) {
    for (std::size_t offset = 0; offset < 6 * 448; offset += 64) visit(segment.frame(offset));
  };
  CHECK(scribble<std::uint64_t>(*this, [&](raw::Segment& segment) {
          std::vector<std::uint64_t*> words;
          each_frame(segment, [&](wire::FrameHeader& frame) {
            words.insert(words.end(), {&frame.extent, &frame.open_sentinel, &frame.payload_size});
          });
          return words;
        }) == "");
  CHECK(scribble<std::uint32_t>(*this, [&](raw::Segment& segment) {
          std::vector<std::uint32_t*> words;
          each_frame(segment, [&](wire::FrameHeader& frame) {
            words.insert(words.end(), {&frame.metadata_size, &frame.payload_offset});
          });
          return words;
        }) == "");
}

TEST_CASE_FIXTURE(ShmTest, "frames in states and of owners that do not exist are an error, not a crash or a loop") {
  CHECK(with_victim(*this, [](Victim& victim, raw::Segment& segment) {
          Snapshot snapshot(segment);
          for (std::size_t offset = 0; offset < 6 * 448; offset += 64) {
            for (unsigned state = 0; state < 9; ++state) {
              for (const std::uint64_t owner : {0ULL, 1ULL, 0x10001ULL, 0xffffULL, 0xffffffffffffULL}) {
                const auto control = shmlane::Control{static_cast<wire::FrameState>(state), 255, owner};
                segment.frame(offset).control = control.pack();
                victim.use();
                snapshot.restore();
              }
            }
          }
        }) == "");
}

TEST_CASE_FIXTURE(ShmTest, "a well-sealed frame with lying lengths is an error that says which rule it breaks") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  const raw::Segment segment(name());
  producer.push("honest");
  wire::FrameHeader& frame = segment.frame(0);
  // The liar knows how to seal: only the bounds can give him away.
  const std::uint64_t open = wire::open_sentinel(segment.header().segment_id, 0, frame.extent);
  frame.payload_size = 4096;
  *reinterpret_cast<std::uint64_t*>(reinterpret_cast<std::byte*>(&frame) + frame.payload_offset - 8) =
      wire::close_sentinel(open, frame.payload_size, frame.metadata_size, frame.payload_offset);
  try {
    static_cast<void>(consumer.pop());
    FAIL("it was delivered");
  } catch (const shmlane::Corrupt& error) {
    const std::string message = error.what();
    CHECK_MESSAGE(message.find("W-25") != message.npos, message);
  }
  CHECK(consumer.stat().dropped == 1);
  producer.push("the next one");
  CHECK(payloads::text(*consumer.pop()) == "the next one");
}

TEST_CASE_FIXTURE(ShmTest, "a batch with unsound frames delivers the sound ones, and is an error if there are none") {
  shmlane::set_log_level(shmlane::LogLevel::kOff);
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  const raw::Segment segment(name());
  const auto spoil = [&](unsigned first, unsigned last) {
    for (unsigned i = first; i <= last; ++i) segment.frame(i * 128).metadata_size ^= 1;
  };
  for (int i = 0; i < 5; ++i) producer.push(std::to_string(i));
  spoil(1, 2);
  CHECK(consumer.pop_many(5).size() == 3);
  for (int i = 0; i < 5; ++i) producer.push(std::to_string(i));
  spoil(5, 9);
  CHECK_THROWS_AS(static_cast<void>(consumer.pop_many(5)), shmlane::Corrupt);
  CHECK(consumer.try_pop().empty());
  CHECK(consumer.stat().dropped == 7);
  CHECK(consumer.stat().used == 0);
  shmlane::set_log_level(shmlane::LogLevel::kWarning);
}

TEST_CASE_FIXTURE(ShmTest, "an unsound frame at the end of a long batch takes nothing of the batch away") {
  shmlane::set_log_level(shmlane::LogLevel::kOff);
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 65536}});
  const raw::Segment segment(name());
  // What the library takes in one piece, so that the unsound frame is a piece of its own.
  constexpr unsigned kSound = 64;
  for (unsigned i = 0; i <= kSound; ++i) producer.push(std::to_string(i));
  segment.frame(kSound * 128).metadata_size ^= 1;
  CHECK(consumer.pop_many(100).size() == kSound);
  CHECK(consumer.stat().used == 0);
  shmlane::set_log_level(shmlane::LogLevel::kWarning);
}

TEST_CASE_FIXTURE(ShmTest, "a ring that turns out to be damaged in mid-batch is the next call's error") {
  shmlane::set_log_level(shmlane::LogLevel::kOff);
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 65536}});
  const raw::Segment segment(name());
  constexpr unsigned kSound = 64;
  for (unsigned i = 0; i <= kSound; ++i) producer.push(std::to_string(i));
  segment.frame(kSound * 128).open_sentinel ^= 1;
  CHECK(consumer.pop_many(100, 0s).size() == kSound);
  CHECK_THROWS_AS(static_cast<void>(consumer.pop_many(100, 0s)), shmlane::Corrupt);
  segment.frame(kSound * 128).open_sentinel ^= 1;
  CHECK(consumer.pop_many(100, 0s).size() == 1);
  shmlane::set_log_level(shmlane::LogLevel::kWarning);
}

TEST_CASE_FIXTURE(ShmTest, "locks of owners that do not exist are taken over, and those of the living only delay") {
  CHECK(with_victim(*this, [](Victim& victim, raw::Segment& segment) {
          Snapshot snapshot(segment);
          for (std::uint64_t wire::RingControl::*lock :
               {&wire::RingControl::producers_lock, &wire::RingControl::consumers_lock}) {
            for (const std::uint64_t owner : {1ULL, 0xffffULL, 0x10000ULL, 0x20001ULL, 0x100000200ULL, ~0ULL}) {
              segment.control().*lock = owner;
              victim.use();
              const std::uint64_t left = segment.control().*lock;
              expect(left == 0 || (left & shmlane::wire::kBiased) != 0, "the lock of nobody was not given back");
              snapshot.restore();
            }
          }
          segment.control().consumers_lock = shmlane::make_id(0, 1);  // the victim's own consumer
          victim.use();
        }) == "");
}

TEST_CASE_FIXTURE(ShmTest, "entries of the table of participants that make no sense do no harm") {
  CHECK(scribble<std::uint64_t>(*this, [](raw::Segment& segment) -> std::vector<std::uint64_t*> {
          return {&segment.entry(0).word, &segment.entry(1).word, &segment.entry(9).word, &segment.header().epoch};
        }) == "");
  CHECK(scribble<std::uint32_t>(*this, [](raw::Segment& segment) -> std::vector<std::uint32_t*> {
          wire::SegmentHeader& header = segment.header();
          return {&header.used_entries, &header.seen_roles, &header.flags, &header.state};
        }) == "");
}

TEST_CASE_FIXTURE(ShmTest,
                  "random words anywhere in the segment neither crash nor hang who lives in it or comes to it") {
  for (unsigned seed = 0; seed < 12; ++seed) {
    CAPTURE(seed);
    CHECK(with_victim(*this, [&](Victim& victim, raw::Segment& segment) {
            std::mt19937_64 random(seed);
            Snapshot snapshot(segment);
            const std::array<std::pair<std::size_t, std::size_t>, 4> places = {
                std::pair<std::size_t, std::size_t>{0, 128},
                {wire::kTableOffset, 8 * sizeof(wire::ParticipantEntry)},
                {wire::kControlOffset, sizeof(wire::RingControl)},
                {wire::kBodyOffset, 2048}};
            for (unsigned round = 0; round < 60; ++round) {
              for (unsigned i = 0; i < 1 + round % 4; ++i) {
                const auto& [begin, size] = places[random() % places.size()];
                const std::uint64_t word = random() >> (random() % 64);
                std::memcpy(segment.bytes() + begin + random() % (size / 8) * 8, &word, 8);
              }
              victim.use();
              if (round % 4 == 0) victim.use_from_outside(name());
              snapshot.restore();
            }
          }) == "");
  }
}

TEST_CASE_FIXTURE(ShmTest, "memory that changes while it is read neither crashes nor hangs") {
  CHECK(with_victim(*this, [&](Victim& victim, raw::Segment& segment) {
          Snapshot snapshot(segment);
          const processes::Shared<std::atomic<bool>> stop;
          Child scribbler([&] {
            std::mt19937_64 random(1);
            while (!stop->load()) {
              const std::size_t where = random() % 4 == 0 ? wire::kControlOffset + random() % 48 * 8
                                                          : wire::kBodyOffset + random() % 32 * 64 + random() % 6 * 8;
              auto& word = *reinterpret_cast<std::uint64_t*>(segment.bytes() + where);
              const std::uint64_t right = word;
              shmlane::atomic(word).store(random() >> (random() % 64));
              for (int spin = 0; spin < 50; ++spin) shmlane::cpu_pause();
              shmlane::atomic(word).store(right);
            }
          });
          const auto end = std::chrono::steady_clock::now() + 1500ms;
          while (std::chrono::steady_clock::now() < end) {
            victim.use();
            snapshot.restore();
          }
          stop->store(true);
          expect(scribbler.join().empty(), "the scribbler died");
        }) == "");
}

}  // namespace
