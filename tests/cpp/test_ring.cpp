// SPDX-License-Identifier: Apache-2.0
// The ring by itself: every way to go round its end, and random work held against a model.
#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "ring.hpp"
#include "shmlane/queue.hpp"
#include "support/environment.hpp"
#include "support/payloads.hpp"
#include "support/raw_segment.hpp"
#include "support/shm.hpp"

namespace {

using payloads::payload_for;
using shmlane::Consumer;
using shmlane::Lease;
using shmlane::Producer;
using shmlane::PushResult;
using shmlane::Reservation;

constexpr std::string_view kBytes = R"({"type":"bytes"})";

TEST_CASE_FIXTURE(ShmTest, "two frames of any lengths go round the end of the ring whole and in order") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  std::uint32_t pushed = 0, popped = 0;
  const auto pop = [&] {
    auto object = consumer.try_pop();
    REQUIRE(object);
    CHECK(payloads::check_stamped(object->payload()).sequence == popped++);
  };
  for (std::size_t first = 128; first <= 4096; first += 64) {
    for (std::size_t second = 128; second <= 4096; second += 64) {
      for (const std::size_t extent : {first, second}) {
        while (payloads::push_stamped(producer, {0, pushed}, payload_for(extent), shmlane::no_wait) !=
               PushResult::kPushed) {
          pop();  // fails when the ring is empty and still takes no frame that is no longer than the ring
        }
        ++pushed;
      }
    }
  }
  while (popped != pushed) pop();
  CHECK(producer.stat().used == 0);
}

TEST_CASE_FIXTURE(ShmTest, "a frame as large as the ring fits an empty ring, wherever that stands") {
  for (const std::uint64_t capacity : {std::uint64_t{4096}, std::uint64_t{3 * 4096}}) {
    Consumer consumer(name());
    Producer producer(name(), {{.capacity = capacity}});
    for (std::size_t offset = 0; offset < capacity; offset += 64) {
      REQUIRE(producer.push(std::vector<std::byte>(payload_for(capacity)), shmlane::no_wait) == PushResult::kPushed);
      CHECK(consumer.try_pop()->payload().size() == payload_for(capacity));
      for (std::size_t i = 0; i <= offset; i += 64) {  // one step further each time
        REQUIRE(producer.try_push("") == PushResult::kPushed);
        CHECK(consumer.try_pop());
      }
    }
  }
}

// Windows (SPEC W-53) are of 8 MiB for frames of 1 MiB, in rings of 16 MiB or more.
constexpr std::uint64_t kWindow = std::uint64_t{8} << 20;
constexpr std::size_t kWindowFrame = std::size_t{1} << 20;
constexpr std::size_t kFramesOfWindow = kWindow / kWindowFrame;

const std::byte* address_of(Consumer& consumer) {
  const auto lease = consumer.try_acquire();
  REQUIRE(lease);
  return lease->payload().data();
}

TEST_CASE_FIXTURE(ShmTest, "where a window ends and nothing is in use, producers begin again at the same memory") {
  const Environment way("SHMLANE_WRITE_WAY", "windows");
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4 * kWindow}});
  Producer other(name());
  const std::vector<std::byte> object(payload_for(kWindowFrame));
  std::set<const std::byte*> addresses;
  for (std::size_t i = 0; i < 10 * kFramesOfWindow; ++i) {
    REQUIRE((i % 3 == 0 ? other : producer).try_push(std::span(object)) == PushResult::kPushed);
    addresses.insert(address_of(consumer));
  }
  CHECK(addresses.size() == kFramesOfWindow);
}

TEST_CASE_FIXTURE(ShmTest, "without windows producers walk through all of the ring, and payloads arrive whole") {
  for (const char* const asked : {"around", "past-caches"}) {
    const Environment way("SHMLANE_WRITE_WAY", asked);
    Consumer consumer(name());
    Producer producer(name(), {{.capacity = 4 * kWindow}});
    std::set<const std::byte*> addresses;
    for (std::uint32_t i = 0; i < 8 * kFramesOfWindow; ++i) {
      const std::vector<std::byte> object = payloads::stamped({0, i}, payload_for(kWindowFrame) - i % 64);
      REQUIRE(producer.try_push(std::span(object)) == PushResult::kPushed);
      const auto lease = consumer.try_acquire();
      REQUIRE(lease);
      CHECK(std::ranges::equal(lease->payload(), object));
      addresses.insert(lease->payload().data());
    }
    CHECK(addresses.size() == 4 * kFramesOfWindow);
  }
}

TEST_CASE_FIXTURE(ShmTest, "a way of writing that is none is refused") {
  const Environment way("SHMLANE_WRITE_WAY", "by hand");
  CHECK_THROWS_WITH_AS(
      Producer{name()},
      "SHMLANE_WRITE_WAY is 'by hand'; it must be 'windows', 'around' or 'past-caches', or not there, and the "
      "quickest is tried out",
      shmlane::InvalidArgument);
}

TEST_CASE_FIXTURE(ShmTest, "while something is in use, producers walk on from one window to the next") {
  const Environment way("SHMLANE_WRITE_WAY", "windows");
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4 * kWindow}});
  const std::vector<std::byte> object(payload_for(kWindowFrame));
  std::set<const std::byte*> addresses;
  REQUIRE(producer.try_push(std::span(object)) == PushResult::kPushed);
  for (std::size_t i = 0; i < 8 * kFramesOfWindow; ++i) {
    REQUIRE(producer.try_push(std::span(object)) == PushResult::kPushed);
    addresses.insert(address_of(consumer));
  }
  CHECK(addresses.size() == 4 * kFramesOfWindow);
  CHECK(consumer.try_pop());
}

TEST_CASE_FIXTURE(ShmTest,
                  "all of the capacity is there behind the end of a window, whether or not consumers come by") {
  const Environment way("SHMLANE_WRITE_WAY", "windows");
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4 * kWindow}});
  const std::vector<std::byte> object(payload_for(kWindowFrame));
  for (std::size_t i = 0; i < kFramesOfWindow; ++i) {
    REQUIRE(producer.try_push(std::span(object)) == PushResult::kPushed);
    CHECK(consumer.try_pop());
  }
  for (std::size_t i = 0; i < 4 * kFramesOfWindow; ++i) {
    REQUIRE(producer.try_push(std::span(object)) == PushResult::kPushed);
  }
  CHECK(producer.try_push(std::span(object)) == PushResult::kFull);
  CHECK(producer.stat().used == 4 * kWindow);
  while (consumer.try_pop()) continue;
}

TEST_CASE_FIXTURE(ShmTest,
                  "who waits sees how much is being written or read: behind a PAD, and where a look went past it") {
  const Environment way("SHMLANE_WRITE_WAY", "windows");
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4 * kWindow}});
  const raw::Segment memory(name());
  const shmlane::Participants table(memory.header(), &memory.entry(0), -1);
  const shmlane::Ring ring(memory.header(), memory.control(), memory.bytes() + shmlane::wire::kBodyOffset, 4 * kWindow,
                           table, name());
  const std::vector<std::byte> object(payload_for(kWindowFrame));
  for (std::size_t i = 0; i < kFramesOfWindow; ++i) {
    REQUIRE(producer.try_push(std::span(object)) == PushResult::kPushed);
    CHECK(consumer.try_pop());
  }
  CHECK(ring.being_written() == 0);
  {
    auto reservation = producer.reserve(kBytes, object.size(), shmlane::no_wait);
    REQUIRE(reservation);
    CHECK(ring.being_written() == object.size());
    CHECK_FALSE(consumer.try_pop());  // the look that steps over the PAD, and past the reservation
    CHECK(ring.being_written() == object.size());
    reservation->commit();
  }
  CHECK(ring.being_written() == 0);
  CHECK(ring.being_read() == 0);
  {
    const auto lease = consumer.try_acquire();
    REQUIRE(lease);
    CHECK(ring.being_read() == object.size());
  }
  CHECK(ring.being_read() == 0);
}

// Random work of several handles in one process, so that there is one right answer to each call.
class Model {
 public:
  Model(const std::string& name, std::uint64_t capacity, unsigned seed) : random_(seed), capacity_(capacity) {
    for (int i = 0; i < 2; ++i) consumers_.emplace_back(name);
    for (int i = 0; i < 3; ++i) producers_.emplace_back(name, shmlane::ProducerOptions{{.capacity = capacity}});
  }

  void step() {
    switch (below(8)) {
      case 0:
      case 1:
      case 2:
        return reserve();
      case 3:
        return commit();
      case 4:
        return abort();
      case 5:
      case 6:
        return acquire();
      default:
        return release();
    }
  }

  void finish() {
    while (!reserved_.empty()) commit();
    while (!ready_.empty()) acquire();
    while (!leases_.empty()) release();
    CHECK(consumers_[0].try_pop().empty());
    CHECK(producers_[0].stat().used == 0);
    // An empty ring takes the largest frame.
    CHECK(producers_[0].reserve(kBytes, payload_for(capacity_), shmlane::no_wait).has_value());
  }

 private:
  struct Written {
    Reservation reservation;
    std::size_t size;
  };

  std::size_t below(std::size_t end) { return random_() % end; }

  void reserve() {
    const std::size_t size = 8 + below(below(4) == 0 ? payload_for(capacity_) - 7 : 300);
    auto reservation = producers_[below(3)].reserve(kBytes, size, shmlane::no_wait);
    const bool idle = reserved_.empty() && ready_.empty() && leases_.empty();
    if (!reservation) {
      CHECK_FALSE(idle);  // nothing else may keep a frame out
      return;
    }
    reserved_.emplace(next_++, Written{std::move(*reservation), size});
    check_size();
  }

  void commit() {
    if (reserved_.empty()) return;
    auto found = std::next(reserved_.begin(), static_cast<std::ptrdiff_t>(below(reserved_.size())));
    auto& [number, written] = *found;
    const std::size_t size = below(3) == 0 ? 8 + below(written.size - 7) : written.size;
    payloads::fill_stamped(written.reservation.payload().first(size), {0, number});
    written.reservation.commit(kBytes, size);
    ready_.insert(number);
    reserved_.erase(found);
    check_size();
  }

  void abort() {
    if (reserved_.empty()) return;
    reserved_.erase(std::next(reserved_.begin(), static_cast<std::ptrdiff_t>(below(reserved_.size()))));
    check_size();
  }

  void acquire() {
    auto lease = consumers_[below(2)].try_acquire();
    CHECK(static_cast<bool>(lease) == !ready_.empty());
    if (!lease || ready_.empty()) return;
    CHECK(payloads::check_stamped(lease->payload()).sequence == *ready_.begin());  // the earliest of what is ready
    ready_.erase(ready_.begin());
    leases_.push_back(std::move(*lease));
    check_size();
  }

  void release() {
    if (leases_.empty()) return;
    const auto found = leases_.begin() + static_cast<std::ptrdiff_t>(below(leases_.size()));
    payloads::check_stamped(found->payload());  // nobody wrote into it meanwhile
    leases_.erase(found);
  }

  void check_size() { CHECK(consumers_[0].size() == reserved_.size() + ready_.size()); }

  std::mt19937 random_;
  std::uint64_t capacity_;
  std::vector<Consumer> consumers_;
  std::vector<Producer> producers_;
  std::uint32_t next_ = 0;
  std::map<std::uint32_t, Written> reserved_;  // by place in the ring
  std::set<std::uint32_t> ready_;
  std::vector<Lease> leases_;
};

TEST_CASE_FIXTURE(ShmTest, "random reservations, commits, aborts, leases and releases follow the model") {
  for (unsigned seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    Model model(name(), seed % 3 == 0 ? 3 * 4096 : seed % 3 == 1 ? 4096 : 65536, seed);
    for (int i = 0; i < 3000; ++i) model.step();
    model.finish();
  }
}

}  // namespace
