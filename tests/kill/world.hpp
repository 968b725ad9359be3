// SPDX-License-Identifier: Apache-2.0
// One death and what comes after it: participants that were there before, then new ones, finish a checked transfer.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "board.hpp"
#include "support/processes.hpp"

namespace kill_tests {

enum class Survivors : std::uint8_t {
  kNone,
  kBoth,           // a producer and a consumer, attached before the death, at work after it
  kConsumer,       // a consumer that waits for somebody to lay out a ring
  kEagerConsumer,  // as kBoth, but the consumer is at work from the beginning: asleep when nothing comes
  kEagerProducer,  // as kBoth, but the producer is at work from the beginning: asleep when the ring is full
};

class World;
using Act = std::function<void()>;

// What a victim does. prepare() runs undisturbed in the victim's process and returns the act, in which it may die.
struct Scenario {
  std::string name;
  Survivors survivors;
  std::function<Act(World&)> prepare;
  bool may_drop = false;   // a policy throws objects away, and counts them
  bool new_queue = false;  // the act parts survivors and newcomers: the name leads to another segment after it
  bool long_walk = false;  // so many instructions that only the soak walks them
};

// The account of one world, for the summary.
struct Aftermath {
  Account account;
  std::int64_t recovery_ns = 0;  // from the death to the end of the survivors' transfer
  bool killed = false;
  bool sound = false;  // all that was checked is right
};

class World {
 public:
  World(std::string name, const Scenario& scenario) : name_(std::move(name)), scenario_(scenario) {}

  // Called with the victim's process, which is about to call `start`; returns when that is dead, or done.
  using Executioner = std::function<bool(processes::Child& victim)>;
  // `wrap` runs in the victim, around the act. Throws what is wrong afterwards; `aftermath` is what was seen till then.
  void run(const std::function<void(const Act&)>& wrap, const Executioner& execute, Aftermath& aftermath);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] Board& board() const noexcept { return *board_; }

 private:
  [[nodiscard]] bool two_survivors() const noexcept {
    return scenario_.survivors != Survivors::kNone && scenario_.survivors != Survivors::kConsumer;
  }
  void consume(Stage from);
  void produce(Pusher pusher, Stage from, unsigned count);
  void start_consumer(Stage from);
  void start_producer(Pusher pusher, Stage from, unsigned count);
  void start_survivors();
  void start_newcomers();
  void finish();
  [[nodiscard]] Account judge() const;
  void wait_for(const std::function<bool()>& condition);

  std::string name_;
  const Scenario& scenario_;
  processes::Shared<Board> board_;
  std::vector<processes::Child> helpers_;
  unsigned attached_ = 0;
  unsigned consumers_ = 0;
};

}  // namespace kill_tests
