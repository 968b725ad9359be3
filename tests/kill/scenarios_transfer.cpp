// SPDX-License-Identifier: Apache-2.0
// Victims that push, pop, reserve, acquire and drop.
#include "scenarios.hpp"
#include "support/raw_segment.hpp"
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

// ---- Producing ------------------------------------------------------------------------------------------------------

Act push_few(World& world) {
  return [&world, mine = producer(world)] { push_some(world, *mine, 2, 300); };
}

// The third frame goes round the end: a PAD, and a tail that is to be moved.
Act push_round_the_end(World& world) {
  const auto mine = producer(world);
  const auto other = consumer(world);
  push_some(world, *mine, 2, 1400);
  pop_some(world, *other, 2);
  return [&world, mine, other] { push_some(world, *mine, 1, 1400); };
}

Act push_a_whole_ring(World& world) {
  const auto mine = producer(world);
  const auto other = consumer(world);
  push_some(world, *mine, 1, 300);
  pop_some(world, *other, 1);
  return [&world, mine, other] { push_some(world, *mine, 1, payloads::payload_for(4096)); };
}

Act push_past_aborted(World& world) {
  const auto mine = producer(world);
  std::vector<std::unique_ptr<Written>> held;
  held.reserve(5);
  for (int i = 0; i < 5; ++i) held.push_back(std::make_unique<Written>(world, *mine, kFifth));
  for (const auto& one : held) one->abort();
  predecessor([&] {
    const auto dead = consumer(world);
    keep_locks(world, false, true);
    die();
  });
  return [&world, mine] { push_some(world, *mine, 2); };
}

Act push_batch(World& world) {
  return [&world, mine = producer(world)] {
    struct Source {
      payloads::Stamp stamp;
    };
    Board& board = world.board();
    std::vector<Source> sources;
    std::vector<Producer::Outgoing> frames;
    frames.reserve(3);
    for (unsigned i = 0; i < 3; ++i) {
      sources.push_back({{kVictim, board.tried[kVictim]++}});
      board.objects[kVictim][sources.back().stamp.sequence].tried = 1;
    }
    for (const Source& source : sources) {
      frames.push_back({kBytes, 200, &source, [](const void* from, std::span<std::byte> out) {
                          payloads::fill_stamped(out, static_cast<const Source*>(from)->stamp);
                        }});
    }
    expect(mine->push_frames(frames, no_wait) == 3, "the batch does not fit");
    for (const Source& source : sources) board.objects[kVictim][source.stamp.sequence].committed = 1;
  };
}

// The second of three writers throws.
Act push_bad_batch(World& world) {
  return [mine = producer(world)] {
    const auto write = [](const void*, std::span<std::byte>) { throw std::runtime_error("cannot write"); };
    const Producer::Outgoing bad{kBytes, 200, nullptr, write};
    const std::vector<Producer::Outgoing> frames(3, bad);
    try {
      mine->push_frames(frames, no_wait);
    } catch (const std::runtime_error&) {
    }
  };
}

Act reserve_and_commit(World& world) {
  return [&world, mine = producer(world)] {
    Written first(world, *mine, 200);
    Written second(world, *mine, 300);
    second.commit();
    first.commit();
  };
}

Act reserve_and_abort(World& world) {
  return [&world, mine = producer(world)] {
    Written first(world, *mine, 200);
    Written second(world, *mine, 300);
    first.abort();
    second.commit();
  };
}

Act drop_the_oldest(World& world) {
  const auto mine = producer(world, {{.capacity = 4096}, Policy::kDropOldest, shmlane::forever});
  push_some(world, *mine, 5);
  return [&world, mine] { push_some(world, *mine, 2); };
}

Act drop_the_oldest_of_few(World& world) {
  const auto mine = producer(world, {{.capacity = 4096}, Policy::kDropOldest, shmlane::forever, 3});
  push_some(world, *mine, 3, 200);
  return [&world, mine] { push_some(world, *mine, 2, 200); };
}

Act drop_the_newest(World& world) {
  const auto mine = producer(world, {{.capacity = 4096}, Policy::kDropNewest, shmlane::forever});
  push_some(world, *mine, 5);
  return [&world, mine] { push_some(world, *mine, 1); };
}

// ---- Consuming ------------------------------------------------------------------------------------------------------

Act pop_two(World& world) {
  const auto source = producer(world);
  push_some(world, *source, 4);
  return [&world, source, mine = consumer(world)] { pop_some(world, *mine, 2); };
}

Act pop_batch(World& world) {
  const auto source = producer(world);
  push_some(world, *source, 4);
  return [&world, source, mine = consumer(world)] {
    Taker taker(world.board());
    world.board().popping = 3;
    for (const auto& object : mine->pop_many(3, no_wait)) taker.note(object);
    world.board().popping = 0;
  };
}

Act acquire_and_release(World& world) {
  const auto source = producer(world);
  push_some(world, *source, 4);
  return [&world, source, mine = consumer(world)] {
    std::vector<Lease> leases = acquire_some(world, *mine, 3);
    leases[1].release();
    leases[0].release();
  };
}

// What is committed behind reservations is taken first; the cursor remembers them.
Act acquire_past_reservations(World& world) {
  const auto source = producer(world);
  auto first = std::make_shared<Written>(world, *source, 200);
  auto second = std::make_shared<Written>(world, *source, 200);
  push_some(world, *source, 2, 200);
  return [&world, source, first, second, mine = consumer(world)] {
    acquire_some(world, *mine, 1);
    first->commit();
    acquire_some(world, *mine, 2);
  };
}

Act pop_what_is_corrupt(World& world) {
  const auto source = producer(world);
  push_some(world, *source, 2, 200);
  raw::Segment(world.name()).frame(0).payload_size ^= 8;
  return [&world, source, mine = consumer(world)] {
    world.board().popping = 1;
    try {
      static_cast<void>(mine->try_pop());
    } catch (const shmlane::Corrupt&) {
      ++world.board().corrupt;
    }
    world.board().popping = 0;
  };
}

}  // namespace

std::vector<Scenario> producing() {
  using S = Survivors;
  return {
      {"push", S::kBoth, push_few},
      {"push round the end", S::kBoth, push_round_the_end},
      {"push a whole ring", S::kBoth, push_a_whole_ring},
      {"push past aborted reservations, with a dead consumer's lock", S::kBoth, push_past_aborted},
      {"push a batch", S::kBoth, push_batch},
      long_walk({"push a batch that throws", S::kBoth, push_bad_batch}),
      {"reserve and commit", S::kBoth, reserve_and_commit},
      {"reserve and abort", S::kBoth, reserve_and_abort},
      {"drop the oldest", S::kBoth, drop_the_oldest, true},
      {"drop the oldest of few", S::kBoth, drop_the_oldest_of_few, true},
      {"drop the newest", S::kBoth, drop_the_newest},
  };
}

std::vector<Scenario> consuming() {
  using S = Survivors;
  return {
      {"pop", S::kBoth, pop_two},
      {"pop a batch", S::kBoth, pop_batch},
      {"acquire and release", S::kBoth, acquire_and_release},
      {"acquire past reservations", S::kBoth, acquire_past_reservations},
      long_walk({"pop what is corrupt", S::kBoth, pop_what_is_corrupt}),
  };
}

}  // namespace kill_tests
