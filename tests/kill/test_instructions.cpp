// SPDX-License-Identifier: Apache-2.0
// Deaths at every instruction of the real library, one for each class of instructions that leave the world as it was.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <iostream>

#include "pool.hpp"
#include "scenarios.hpp"
#include "support/shm.hpp"
#include "tracer.hpp"
#include "walking.hpp"

namespace {

using namespace kill_tests;

constexpr std::size_t kWorlds = 12;
constexpr std::size_t kSample = 7;  // deaths of each scenario in an ordinary run of the tests
constexpr std::size_t kMostEvents = 2048;

struct Walk {
  const Scenario* scenario;
  std::vector<Place> events;
};

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
    result.temporaries = tracer.remove_temporaries();
    return killed;
  };
  World(name, *death.scenario).run(walked, execute, result.aftermath);
}

void run_worlds(const ShmTest& test, const std::vector<Death>& deaths,
                const std::function<void(const Death&, const Result&)>& seen) {
  static unsigned number = 0;
  Pool pool(kWorlds);
  for (const Death& death : deaths) {
    const auto result = std::make_shared<processes::Shared<Result>>();
    const std::string name = test.name(std::to_string(++number));
    pool.start([&death, result, name] { run_one(name, death, **result); },
               [&death, result, &seen](const std::string& outcome) {
                 CHECK_MESSAGE(outcome.empty(), death.text(), ": ", outcome);
                 seen(death, **result);
               });
  }
  pool.finish();
}

struct Summary {
  std::uint64_t instructions = 0;
  std::size_t classes = 0;
  unsigned killed = 0, survived = 0, redelivered = 0, temporaries = 0;
  std::int64_t longest_ns = 0;
};

bool asked_for_all() { return std::getenv("SHMLANE_KILL_ALL") != nullptr; }

std::vector<Walk> walk_all(const ShmTest& test, Summary& sum) {
  std::vector<Death> lives;
  std::vector<Walk> walks;
  for (const Scenario& scenario : scenarios()) {
    if (scenario.long_walk && !asked_for_all()) continue;
    lives.push_back({.scenario = &scenario, .place = {}, .walks = true});
  }
  run_worlds(test, lives, [&](const Death& life, const Result& result) {
    sum.instructions += result.instructions;
    sum.classes += result.events + 1;
    walks.push_back({life.scenario, {result.places.begin(), result.places.begin() + result.events}});
    if (!asked_for_all()) return;
    std::cout << result.instructions << " instructions, " << result.events + 1 << " classes: " << life.scenario->name
              << std::endl;
  });
  return walks;
}

// One death in every class, or in a few of each scenario, evenly over its length.
std::vector<Death> deaths_in(const std::vector<Walk>& walks) {
  std::vector<Death> chosen;
  for (const Walk& walk : walks) {
    const std::size_t classes = walk.events.size() + 1;
    const std::size_t count = asked_for_all() ? classes : std::min(classes, kSample);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t event = (2 * i + 1) * classes / (2 * count);
      Death death{.scenario = walk.scenario, .event = event, .place = {}};
      if (event < walk.events.size()) death.place = walk.events[event];
      chosen.push_back(death);
    }
  }
  return chosen;
}

TEST_CASE_FIXTURE(ShmTest, "whoever dies at any instruction, the others finish a checked transfer") {
  const std::string why_not = why_no_walk();
  if (!why_not.empty()) {
    std::cout << "SKIPPED: deaths at every instruction: " << why_not << std::endl;
    return;
  }
  const Watchdog watchdog(asked_for_all() ? 3000 : 220);
  Summary sum;
  const std::vector<Death> deaths = deaths_in(walk_all(*this, sum));
  run_worlds(*this, deaths, [&](const Death&, const Result& result) {
    sum.killed += result.aftermath.killed;
    sum.survived += result.aftermath.killed && result.aftermath.sound;
    sum.redelivered += result.aftermath.account.redelivered;
    sum.temporaries += result.temporaries;
    sum.longest_ns = std::max(sum.longest_ns, result.aftermath.recovery_ns);
  });
  // Where a walk looked at the clock, a process at full speed may take another way.
  CHECK(sum.killed + deaths.size() / 20 >= deaths.size());
  if (asked_for_all()) CHECK(sum.longest_ns < 1'000'000'000);  // the promise; an ordinary run judges no times
  std::cout << "instructions: " << sum.instructions << " walked, " << sum.classes << " classes, " << sum.killed
            << " killed, " << sum.survived << " survived without loss or duplicate, " << sum.redelivered
            << " redelivered (declared), " << sum.temporaries << " semaphore temporaries left, longest recovery "
            << sum.longest_ns / 1'000'000 << " ms" << std::endl;
}

}  // namespace
