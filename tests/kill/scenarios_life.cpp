// SPDX-License-Identifier: Apache-2.0
// Victims that come, wait, reap and go.
#include <sys/syscall.h>

#include <cerrno>

#include "os/semaphore.hpp"
#include "scenarios.hpp"
#include "segment.hpp"
#include "shmlane/inspect.hpp"
#include "support/raw_segment.hpp"
#include "support/refusing.hpp"
#include "victim.hpp"

namespace kill_tests {
namespace {

using namespace std::chrono_literals;
using processes::expect;
using shmlane::Consumer;
using shmlane::ConsumerOptions;
using shmlane::Lease;
using shmlane::no_wait;
using shmlane::Policy;
using shmlane::Producer;
using shmlane::wire::OnDeath;

// ---- Attaching ------------------------------------------------------------------------------------------------------

Act attach_producer(World& world) {
  return [&] { producer(world); };
}
Act attach_consumer(World& world) {
  return [&] { consumer(world); };
}
Act create_by_consumer(World& world) {
  return [&] { consumer(world, {{.capacity = 4096}}); };
}

Act attach_without_membarrier(World& world) {
  refuse_system_call(SYS_membarrier, EPERM);
  return attach_consumer(world);
}

Act replace_what_a_crash_left(World& world) {
  predecessor([&] {
    const auto mine = producer(world);
    die();
  });
  return attach_producer(world);
}

Act finish_a_removal(World& world) {
  expect(processes::run_in_child([&] { Consumer(world.name(), {{.capacity = 4096, .unlink = false}}); }).empty(), "");
  const raw::Segment segment(world.name());
  segment.header().state = static_cast<std::uint32_t>(shmlane::wire::SegmentState::kRemoved);
  return attach_consumer(world);
}

Act make_what_is_half_made(World& world) {
  const raw::Segment segment(world.name(), shmlane::wire::kBodyOffset);
  segment.header().magic = shmlane::wire::kMagic;
  segment.header().segment_id = 4711;
  const shmlane::os::NamedSemaphore items(shmlane::semaphore_name(world.name(), 4711, "items"), 0600);
  return attach_producer(world);
}

// ---- Sleeping and waking --------------------------------------------------------------------------------------------

Act wait_for_an_object(World& world) {
  return [&world, mine = consumer(world)] { Taker(world.board()).pop(*mine, 500ms); };
}

Act wait_for_room(World& world) {
  const auto mine = producer(world);
  push_some(world, *mine, 5);
  return [&world, mine] { push(world.board(), *mine, kVictim, kFifth, 500ms); };
}

// A publisher takes the sleeper's announcement back, and the sleeper's time is over before the token comes.
Act leave_without_a_token(World& world) {
  static std::optional<raw::Segment> segment;
  const ConsumerOptions options{{.interrupt_check = [] {
    std::atomic_ref(segment->control().items_waiters.value).store(0);
    ::usleep(600'000);
  }}};
  auto mine = consumer(world, options);
  segment.emplace(world.name());
  return [&world, mine] { Taker(world.board()).pop(*mine, 500ms); };
}

Act wake_a_consumer(World& world) {
  const auto mine = producer(world);
  const raw::Segment segment(world.name());
  processes::wait_until([&] { return std::atomic_ref(segment.control().items_waiters.value).load() != 0; });
  return [&world, mine] { push_some(world, *mine, 2, 200); };
}

Act wake_a_producer(World& world) {
  const auto mine = consumer(world);
  const raw::Segment segment(world.name());
  processes::wait_until([&] { return std::atomic_ref(segment.control().space_waiters.value).load() != 0; });
  return [&world, mine] { pop_some(world, *mine, 2); };
}

// ---- Reaping others, taking their locks ----------------------------------------------------------------------------

Act reap_reservations(World& world) {
  die_with_reservations(world, true);
  return attach_consumer(world);
}

Act reap_leases(World& world) {
  die_with_leases(world, OnDeath::kRedeliver, true);
  return attach_producer(world);
}

Act reap_leases_to_drop(World& world) {
  die_with_leases(world, OnDeath::kDrop, true);
  return attach_producer(world);
}

Act reap_in_a_wait(World& world) {
  const auto mine = consumer(world);
  die_with_leases(world, OnDeath::kRedeliver, false);
  return [&world, mine] {
    pop_some(world, *mine, 1);
    Taker(world.board()).pop(*mine, 500ms);
  };
}

Act reap_before_the_end(World& world) {
  const auto mine = consumer(world);
  die_with_reservations(world, false);
  return [&world, mine] {
    Taker taker(world.board());
    while (taker.pop(*mine)) {
    }
  };
}

Act push_with_the_lock_of_the_dead(World& world) {
  const auto mine = producer(world);
  die_with_reservations(world, true);
  return [&world, mine] { push_some(world, *mine, 1, 200); };
}

Act pop_with_the_lock_of_the_dead(World& world) {
  const auto mine = consumer(world);
  die_with_leases(world, OnDeath::kRedeliver, true);
  return [&world, mine] { pop_some(world, *mine, 1); };
}

// ---- Leaving --------------------------------------------------------------------------------------------------------

Act close_a_producer(World& world) {
  const auto mine = producer(world);
  auto held = std::make_shared<Written>(world, *mine, 200);
  return [mine, held] {
    mine->close();
    held->abort();
  };
}

Act close_a_consumer(World& world) {
  const auto source = producer(world);
  push_some(world, *source, 1);
  const auto mine = consumer(world);
  auto leases = std::make_shared<std::vector<Lease>>(acquire_some(world, *mine, 1));
  return [source, mine, leases] {
    mine->close();
    leases->clear();
  };
}

Act close_the_last(World& world) {
  const auto mine = consumer(world);
  const auto source = producer(world);
  push_some(world, *source, 1);
  pop_some(world, *mine, 1);
  source->close();
  return [mine] { mine->close(); };
}

Act close_and_leave_objects(World& world) {
  const auto mine = producer(world);
  push_some(world, *mine, 2);
  return [mine] { mine->close(); };
}

Act remove_by_force(World& world) {
  return [&world] { shmlane::remove_segment(world.name(), true); };
}

}  // namespace

std::vector<Scenario> attaching() {
  using S = Survivors;
  return {
      long_walk({"attach as a producer", S::kBoth, attach_producer}),
      {"attach as a consumer", S::kBoth, attach_consumer},
      long_walk({"attach without membarrier", S::kBoth, attach_without_membarrier}),
      {"create as a producer", S::kNone, attach_producer},
      long_walk({"create as a consumer", S::kNone, attach_consumer}),
      long_walk({"create as a consumer that names the capacity", S::kNone, create_by_consumer}),
      {"lay out the ring for a waiting consumer", S::kConsumer, attach_producer},
      long_walk({"replace what a crash left", S::kNone, replace_what_a_crash_left}),
      long_walk({"finish a removal", S::kNone, finish_a_removal}),
      long_walk({"make what is half made", S::kNone, make_what_is_half_made}),
  };
}

std::vector<Scenario> waiting() {
  using S = Survivors;
  return {
      {"wait for an object", S::kBoth, wait_for_an_object},
      {"wait for room", S::kBoth, wait_for_room},
      {"leave a wait without a token", S::kBoth, leave_without_a_token},
      {"wake a consumer", S::kEagerConsumer, wake_a_consumer},
      {"wake a producer", S::kEagerProducer, wake_a_producer},
  };
}

std::vector<Scenario> reaping_and_leaving() {
  using S = Survivors;
  return {
      {"reap reservations and a lock", S::kBoth, reap_reservations},
      {"reap leases and both locks", S::kBoth, reap_leases},
      {"reap leases that are to be dropped", S::kBoth, reap_leases_to_drop},
      {"reap in a wait", S::kBoth, reap_in_a_wait},
      {"reap before the end of stream", S::kNone, reap_before_the_end},
      {"push with the lock of the dead", S::kBoth, push_with_the_lock_of_the_dead},
      {"pop with the lock of the dead", S::kBoth, pop_with_the_lock_of_the_dead},
      {"close a producer that holds a reservation", S::kBoth, close_a_producer},
      {"close a consumer that holds a lease", S::kBoth, close_a_consumer},
      {"close the last participant", S::kNone, close_the_last},
      {"close the last participant, with objects left", S::kNone, close_and_leave_objects},
      {"remove by force", S::kBoth, remove_by_force, false, true},
  };
}

}  // namespace kill_tests
