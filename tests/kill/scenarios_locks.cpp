// SPDX-License-Identifier: Apache-2.0
// Victims to whom a lock is left, and those who take it from its owner (W-39).
#include "atomic.hpp"
#include "scenarios.hpp"
#include "support/raw_segment.hpp"
#include "victim.hpp"

namespace kill_tests {
namespace {

using shmlane::Consumer;
using shmlane::Producer;

constexpr unsigned kPatience = 16;  // after how many turns a lock is left to the one who takes them

void pass_some(World& world, Producer& producer, Consumer& consumer, unsigned count, Pusher pusher = kVictim) {
  for (unsigned i = 0; i < count; ++i) {
    push_some(world, producer, 1, 200, pusher);
    pop_some(world, consumer, 1);
  }
}

bool left_to_somebody(const World& world) {
  const raw::Segment segment(world.name());
  return (segment.control().producers_lock & segment.control().consumers_lock & shmlane::wire::kBiased) != 0;
}

// The victim's own handles, after so many turns.
Act pass_after(World& world, unsigned turns, bool left) {
  const auto source = producer(world);
  const auto mine = consumer(world);
  pass_some(world, *source, *mine, turns);
  processes::expect(left_to_somebody(world) == left, "the locks are not left to the one who uses them");
  return [&world, source, mine] { pass_some(world, *source, *mine, 2); };
}

Act be_left_the_locks(World& world) { return pass_after(world, kPatience - 1, false); }
Act use_what_was_left(World& world) { return pass_after(world, kPatience, true); }

Act take_from_an_owner(World& world) {
  const auto source = producer(world);
  const auto other = consumer(world);
  pass_some(world, *source, *other, kPatience);
  return [&world, source, other, late = producer(world), mine = consumer(world)] {
    pass_some(world, *late, *mine, 1);
    pass_some(world, *source, *other, 1);
  };
}

// Both flags of all participants of this process, as if they were inside at this moment.
void set_busy(const World& world, std::uint32_t busy) {
  const raw::Segment segment(world.name());
  for (unsigned index = 0; index < segment.header().used_entries; ++index) {
    shmlane::wire::ParticipantEntry& entry = segment.entry(index);
    if (entry.pid != static_cast<std::uint32_t>(::getpid())) continue;
    entry.producers_busy = entry.consumers_busy = busy;
  }
}

Act take_from_an_owner_who_is_inside(World& world) {
  const auto source = producer(world);
  const auto other = consumer(world);
  pass_some(world, *source, *other, kPatience);
  return [&world, source, other, late = producer(world), mine = consumer(world)] {
    push_some(world, *late, 1);
    set_busy(world, 1);
    processes::expect(!mine->try_acquire(), "the lock was taken from somebody who is inside");
    set_busy(world, 0);
    pop_some(world, *mine, 1);
  };
}

Act take_from_an_owner_who_died_inside(World& world) {
  predecessor([&] {
    const auto source = producer(world);
    const auto other = consumer(world);
    pass_some(world, *source, *other, kPatience, kPredecessor);
    set_busy(world, 1);
    die();
  });
  return [&world] {
    const auto source = producer(world);
    const auto mine = consumer(world);
    pass_some(world, *source, *mine, 2);
  };
}

}  // namespace

std::vector<Scenario> locking() {
  using S = Survivors;
  return {
      {"be left the locks", S::kBoth, be_left_the_locks},
      {"use the locks that were left to one", S::kBoth, use_what_was_left},
      {"take the locks from their owner", S::kBoth, take_from_an_owner},
      {"take the locks from an owner who is inside", S::kBoth, take_from_an_owner_who_is_inside},
      {"take the locks from an owner who died inside", S::kBoth, take_from_an_owner_who_died_inside},
  };
}

}  // namespace kill_tests
