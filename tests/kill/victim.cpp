// SPDX-License-Identifier: Apache-2.0
// Handles, objects and deaths for scenarios.
#include "victim.hpp"

#include "atomic.hpp"
#include "support/raw_segment.hpp"

namespace kill_tests {

using processes::expect;
using shmlane::Consumer;
using shmlane::ConsumerOptions;
using shmlane::Lease;
using shmlane::no_wait;
using shmlane::Producer;
using shmlane::ProducerOptions;
using shmlane::wire::OnDeath;

std::shared_ptr<Producer> producer(const World& world, const ProducerOptions& options) {
  return std::make_shared<Producer>(world.name(), options);
}

std::shared_ptr<Consumer> consumer(const World& world, const ConsumerOptions& options) {
  return std::make_shared<Consumer>(world.name(), options);
}

void push_some(const World& world, Producer& producer, unsigned count, std::size_t size, Pusher pusher) {
  for (unsigned i = 0; i < count; ++i) push(world.board(), producer, pusher, size, no_wait);
}

void pop_some(const World& world, Consumer& consumer, unsigned count) {
  Taker taker(world.board());
  for (unsigned i = 0; i < count; ++i) taker.pop(consumer);
}

std::vector<Lease> acquire_some(const World& world, Consumer& consumer, unsigned count) {
  std::vector<Lease> leases;
  Taker taker(world.board());
  for (unsigned i = 0; i < count; ++i) {
    auto lease = consumer.try_acquire();
    if (!lease) break;
    taker.note(*lease);
    leases.push_back(std::move(*lease));
  }
  return leases;
}

Written::Written(const World& world, Producer& producer, std::size_t size, Pusher pusher)
    : entry_(world.board().objects[pusher][world.board().tried[pusher]]) {
  const std::uint32_t sequence = world.board().tried[pusher]++;
  entry_.tried = 1;
  auto reservation = producer.reserve(kBytes, size, no_wait);
  expect(reservation.has_value(), "there is no room for a reservation");
  reservation_ = std::move(*reservation);
  payloads::fill_stamped(reservation_.payload(), {pusher, sequence});
}

void Written::commit() {
  reservation_.commit();
  entry_.committed = 1;
}

void Written::abort() {
  entry_.forbidden = 1;
  reservation_.abort();
}

void die() {
  ::kill(::getpid(), SIGKILL);
  ::abort();
}

void predecessor(const std::function<void()>& life) {
  const std::string end = processes::run_in_child(life);
  expect(end == "died of signal 9", "who should die first: " + end);
}

namespace {

std::uint64_t own_id(const raw::Segment& segment) {
  for (unsigned index = 0; index < segment.header().used_entries; ++index) {
    const auto word = shmlane::EntryWord::unpack(segment.entry(index).word);
    if (word.live() && segment.entry(index).pid == static_cast<std::uint32_t>(::getpid())) {
      return shmlane::make_id(index, word.generation);
    }
  }
  throw std::runtime_error("no entry of this process");
}

}  // namespace

void keep_locks(const World& world, bool producers, bool consumers) {
  const raw::Segment segment(world.name());
  if (producers) segment.control().producers_lock = own_id(segment);
  if (consumers) segment.control().consumers_lock = own_id(segment);
}

void die_with_reservations(const World& world, bool locked) {
  predecessor([&] {
    const auto mine = producer(world);
    const Written first(world, *mine, 200, kPredecessor);
    push_some(world, *mine, 1, 200, kPredecessor);
    const Written second(world, *mine, 200, kPredecessor);
    if (locked) keep_locks(world, true, false);
    die();
  });
}

void die_with_leases(const World& world, OnDeath on_death, bool locked) {
  predecessor([&] {
    const auto source = producer(world);
    push_some(world, *source, 3, 200, kPredecessor);
    const auto mine = consumer(world, {{}, on_death, 255});
    const auto leases = acquire_some(world, *mine, 2);
    if (locked) keep_locks(world, true, true);
    die();
  });
}

}  // namespace kill_tests
