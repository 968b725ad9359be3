// SPDX-License-Identifier: Apache-2.0
// Deaths at every instruction of the real library, one for each class of instructions that leave the world as it was.
#include <algorithm>
#include <array>
#include <iostream>
#include <optional>

#include "array_scenarios.hpp"
#include "scenarios.hpp"
#include "support/shm.hpp"
#include "tracer.hpp"
#include "walking.hpp"
#include "worlds.hpp"

namespace {

using namespace kill_tests;

constexpr std::size_t kWorlds = 12;
constexpr std::size_t kSample = 7;  // deaths of each scenario in an ordinary run of the tests
constexpr std::size_t kMostEvents = 4096;

template <class Scenario>
struct Death {
  const Scenario* scenario;
  std::size_t event = 0;       // before which it dies
  std::optional<Place> place;  // of that event; none: at the end of the walk
  bool walks = false;          // it does not die: it is walked
  [[nodiscard]] std::string text() const {
    return scenario->name + (walks ? std::string(", walked") : ", killed before event " + std::to_string(event));
  }
};

struct Result {  // shared with the world's process
  std::uint64_t instructions = 0;
  std::size_t events = 0;
  std::array<Place, kMostEvents> places;
  unsigned temporaries = 0;
  Aftermath aftermath;
};

// Walks the victim, or kills it; whether it was killed.
template <class Scenario>
bool execute(processes::Child& victim, const std::string& name, const Death<Scenario>& death, Result& result) {
  const OneCore core(victim.pid());
  Tracer tracer(victim.pid(), name);
  bool killed = false;
  if (death.walks) {
    const std::vector<Place> events = tracer.walk();
    processes::expect(events.size() <= kMostEvents, "too many events");
    std::copy(events.begin(), events.end(), result.places.begin());
    result.events = events.size();
    result.instructions = tracer.instructions();
  } else {
    killed = tracer.kill_at(death.place);
  }
  const std::string end = victim.join();
  processes::expect(end == (killed ? "died of signal 9" : ""), "the victim: " + end);
  result.temporaries = tracer.remove_temporaries();
  return killed;
}

void run(const std::string& name, const Death<Scenario>& death, Result& result) {
  const auto executed = [&](processes::Child& victim) { return execute(victim, name, death, result); };
  World(name, *death.scenario).run(walked, executed, result.aftermath);
}

void run(const std::string& name, const Death<ArrayScenario>& death, Result& result) {
  const auto executed = [&](processes::Child& victim) { return execute(victim, name, death, result); };
  result.aftermath.killed = run_array_world(name, *death.scenario, walked, executed);
}

template <class Scenario>
void run_all(const ShmTest& test, const std::vector<Death<Scenario>>& deaths,
             const Seen<Death<Scenario>, Result>& seen) {
  const auto run_one = [](const std::string& name, const Death<Scenario>& death, Result& result) {
    run(name, death, result);
  };
  run_worlds<Result, Death<Scenario>>(test, kWorlds, deaths, run_one, seen);
}

struct Summary {
  std::uint64_t instructions = 0;
  std::size_t classes = 0, deaths = 0;
  unsigned killed = 0, survived = 0, redelivered = 0, temporaries = 0;
  std::int64_t longest_ns = 0;
};

// One death in every class, or in a few of each scenario, evenly over its length.
template <class Scenario>
std::vector<Death<Scenario>> deaths_in(const Scenario& scenario, const Result& walk) {
  std::vector<Death<Scenario>> chosen;
  const std::size_t classes = walk.events + 1;
  const std::size_t count = asked_for_all() ? classes : std::min(classes, kSample);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t event = (2 * i + 1) * classes / (2 * count);
    Death<Scenario> death{.scenario = &scenario, .event = event, .place = {}};
    if (event < walk.events) death.place = walk.places[event];
    chosen.push_back(death);
  }
  return chosen;
}

template <class Scenario>
std::vector<Death<Scenario>> walk_all(const ShmTest& test, const std::vector<const Scenario*>& scenarios,
                                      Summary& sum) {
  std::vector<Death<Scenario>> lives, deaths;
  for (const Scenario* scenario : scenarios) lives.push_back({.scenario = scenario, .place = {}, .walks = true});
  run_all<Scenario>(test, lives, [&](const Death<Scenario>& life, const Result& result) {
    sum.instructions += result.instructions;
    sum.classes += result.events + 1;
    for (const Death<Scenario>& death : deaths_in(*life.scenario, result)) deaths.push_back(death);
    if (!asked_for_all()) return;
    std::cout << result.instructions << " instructions, " << result.events + 1 << " classes: " << life.scenario->name
              << std::endl;
  });
  return deaths;
}

template <class Scenario>
Summary kill_at_all(const ShmTest& test, const std::vector<const Scenario*>& scenarios) {
  Summary sum;
  const std::vector<Death<Scenario>> deaths = walk_all(test, scenarios, sum);
  sum.deaths = deaths.size();
  run_all<Scenario>(test, deaths, [&](const Death<Scenario>&, const Result& result) {
    sum.killed += result.aftermath.killed;
    sum.survived += result.aftermath.killed && result.aftermath.sound;
    sum.redelivered += result.aftermath.account.redelivered;
    sum.temporaries += result.temporaries;
    sum.longest_ns = std::max(sum.longest_ns, result.aftermath.recovery_ns);
  });
  return sum;
}

bool can_walk() {
  const std::string why_not = why_no_walk();
  if (!why_not.empty()) std::cout << "SKIPPED: deaths at every instruction: " << why_not << std::endl;
  return why_not.empty();
}

TEST_CASE_FIXTURE(ShmTest, "whoever dies at any instruction, the others finish a checked transfer") {
  if (!can_walk()) return;
  const Watchdog watchdog(asked_for_all() ? 3000 : 220);
  std::vector<const Scenario*> walked;
  for (const Scenario& scenario : scenarios()) {
    if (!scenario.long_walk || asked_for_all()) walked.push_back(&scenario);
  }
  const Summary sum = kill_at_all(*this, walked);
  // Where a walk looked at the clock, a process at full speed may take another way.
  CHECK(sum.killed + sum.deaths / 20 >= sum.deaths);
  if (asked_for_all()) CHECK(sum.longest_ns < 1'000'000'000);  // the promise; an ordinary run judges no times
  std::cout << "instructions: " << sum.instructions << " walked, " << sum.classes << " classes, " << sum.killed
            << " killed, " << sum.survived << " survived without loss or duplicate, " << sum.redelivered
            << " redelivered (declared), " << sum.temporaries << " semaphore temporaries left, longest recovery "
            << sum.longest_ns / 1'000'000 << " ms" << std::endl;
}

TEST_CASE_FIXTURE(ShmTest,
                  "whoever dies at any instruction in a stream or a tensor, the others go on with whole values") {
  if (!can_walk()) return;
  const Watchdog watchdog(asked_for_all() ? 2400 : 200);
  std::vector<const ArrayScenario*> walked;
  for (const ArrayScenario& scenario : array_scenarios()) walked.push_back(&scenario);
  const Summary sum = kill_at_all(*this, walked);
  CHECK(sum.killed + sum.deaths / 10 >= sum.deaths);  // as above; here more of them wait
  std::cout << "instructions of streams and tensors: " << sum.instructions << " walked, " << sum.classes << " classes, "
            << sum.killed << " killed of " << sum.deaths << " tried, all survived" << std::endl;
}

}  // namespace
