// SPDX-License-Identifier: Apache-2.0
// Deaths at every instruction of streams and tensors, one for each class of instructions that leave the world as it was.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>

#include "array_scenarios.hpp"
#include "pool.hpp"
#include "support/shm.hpp"
#include "walking.hpp"

namespace {

using namespace kill_tests;

constexpr std::size_t kWorlds = 12;
constexpr std::size_t kSample = 5;  // deaths of each scenario in an ordinary run of the tests
constexpr std::size_t kMostEvents = 4096;

struct Death {
  const ArrayScenario* scenario;
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
  bool killed = false;
};

bool asked_for_all() { return std::getenv("SHMLANE_KILL_ALL") != nullptr; }

void run_one(const std::string& name, const Death& death, Result& result) {
  const auto execute = [&](processes::Child& victim) {
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
    return killed;
  };
  result.killed = run_array_world(name, *death.scenario, walked, execute);
}

void run_worlds(const ShmTest& test, const std::vector<Death>& deaths,
                const std::function<void(const Death&, const Result&)>& seen) {
  static unsigned number = 0;
  Pool pool(kWorlds);
  for (const Death& death : deaths) {
    const auto result = std::make_shared<processes::Shared<Result>>();
    const std::string name = test.name("i" + std::to_string(++number));
    pool.start([&death, result, name] { run_one(name, death, **result); },
               [&death, result, &seen](const std::string& outcome) {
                 CHECK_MESSAGE(outcome.empty(), death.text(), ": ", outcome);
                 seen(death, **result);
               });
  }
  pool.finish();
}

TEST_CASE_FIXTURE(ShmTest,
                  "whoever dies at any instruction in a stream or a tensor, the others go on with whole values") {
  const std::string why_not = why_no_walk();
  if (!why_not.empty()) {
    std::cout << "SKIPPED: deaths at every instruction: " << why_not << std::endl;
    return;
  }
  const Watchdog watchdog(asked_for_all() ? 2400 : 200);
  std::uint64_t instructions = 0;
  std::size_t classes = 0;
  unsigned killed = 0;
  std::vector<Death> lives, deaths;
  for (const ArrayScenario& scenario : array_scenarios()) {
    lives.push_back({.scenario = &scenario, .place = {}, .walks = true});
  }
  run_worlds(*this, lives, [&](const Death& life, const Result& result) {
    instructions += result.instructions;
    classes += result.events + 1;
    const std::size_t count = asked_for_all() ? result.events + 1 : std::min(result.events + 1, kSample);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t event = (2 * i + 1) * (result.events + 1) / (2 * count);
      Death death{.scenario = life.scenario, .event = event, .place = {}};
      if (event < result.events) death.place = result.places[event];
      deaths.push_back(death);
    }
  });
  run_worlds(*this, deaths, [&](const Death&, const Result& result) { killed += result.killed; });
  // Where a walk looked at the clock, a process at full speed may take another way.
  CHECK(killed + deaths.size() / 10 >= deaths.size());
  std::cout << "instructions of streams and tensors: " << instructions << " walked, " << classes << " classes, "
            << killed << " killed of " << deaths.size() << " tried, all survived" << std::endl;
}

}  // namespace
