// SPDX-License-Identifier: Apache-2.0
// Deaths at every crash point that the sources name, in every scenario that passes it.
#include <iostream>
#include <set>

#include "pool.hpp"
#include "scenarios.hpp"
#include "steps.hpp"
#include "support/shm.hpp"
#include "world.hpp"

namespace {

using namespace kill_tests;

constexpr std::size_t kWorlds = 24;

bool wait_for_death(processes::Child& victim) {
  const std::string end = victim.join();
  processes::expect(end.empty() || end == "died of signal 9", "the victim: " + end);
  return !end.empty();
}

struct Death {
  const Scenario* scenario;
  std::size_t point = kMostPoints;  // none: it lives
  unsigned pass = 0;
  [[nodiscard]] std::string text() const {
    const std::string where = point == kMostPoints ? "nowhere" : points()[point] + ":" + std::to_string(pass);
    return scenario->name + ", killed at " + where;
  }
};

struct Result {  // shared with the world's process
  Steps steps;
  Aftermath aftermath;
};

struct Summary {
  unsigned deaths = 0, survived = 0, redelivered = 0;
  std::int64_t longest_ns = 0;
  std::set<std::size_t> fatal;
};

// Runs one world for each death; `seen` gets what came of it.
void run_worlds(const ShmTest& test, const std::vector<Death>& deaths,
                const std::function<void(const Death&, const Result&)>& seen) {
  static unsigned number = 0;
  Pool pool(kWorlds);
  for (const Death& death : deaths) {
    const auto result = std::make_shared<processes::Shared<Result>>();
    const std::string name = test.name(std::to_string(++number));
    const auto work = [&death, result, name] {
      (*result)->steps.watch(death.point, death.pass);
      World(name, *death.scenario).run(observed, wait_for_death, (*result)->aftermath);
    };
    pool.start(work, [&death, result, &seen](const std::string& outcome) {
      CHECK_MESSAGE(outcome.empty(), death.text(), ": ", outcome);
      seen(death, **result);
    });
  }
  pool.finish();
}

// The first and the last pass of each point; every pass if all is asked for.
std::vector<Death> deaths_in_all_scenarios(const ShmTest& test) {
  std::vector<Death> lives, deaths;
  for (const Scenario& scenario : scenarios()) lives.push_back({&scenario});
  run_worlds(test, lives, [&](const Death& life, const Result& result) {
    CHECK_FALSE_MESSAGE(result.aftermath.killed, life.text());
    for (std::size_t point = 0; point < points().size(); ++point) {
      const unsigned passes = result.steps.passes[point];
      for (unsigned pass = 1; pass <= passes; ++pass) {
        if (pass == 1 || pass == passes || asked_for_all()) deaths.push_back({life.scenario, point, pass});
      }
    }
  });
  return deaths;
}

TEST_CASE("the points in the sources have names of their own") {
  const std::set<std::string> names(points().begin(), points().end());
  CHECK(names.size() == points().size());
  CHECK(names.size() > 60);
  CHECK(names.size() <= kMostPoints);
}

TEST_CASE_FIXTURE(ShmTest, "whoever dies at any named step, the others finish a checked transfer") {
  const Watchdog watchdog(asked_for_all() ? 1200 : 150);
  Summary sum;
  run_worlds(*this, deaths_in_all_scenarios(*this), [&](const Death& death, const Result& result) {
    const Aftermath& found = result.aftermath;
    sum.deaths += found.killed;
    sum.survived += found.killed && found.sound;
    if (found.killed) sum.fatal.insert(death.point);
    sum.redelivered += found.account.redelivered;
    sum.longest_ns = std::max(sum.longest_ns, found.recovery_ns);
  });
  for (std::size_t point = 0; point < points().size(); ++point) {
    if (!of_arrays(point)) CHECK_MESSAGE(sum.fatal.contains(point), "no scenario dies at ", points()[point]);
  }
  if (asked_for_all()) CHECK(sum.longest_ns < 1'000'000'000);  // the promise; an ordinary run judges no times
  std::cout << "named steps of queues: " << points().size() << " points in all, " << sum.fatal.size() << " killed at, "
            << sum.deaths << " deaths, " << sum.survived << " survived without loss or duplicate, " << sum.redelivered
            << " redelivered (declared), longest recovery " << sum.longest_ns / 1'000'000 << " ms" << std::endl;
}

}  // namespace
