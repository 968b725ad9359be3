// SPDX-License-Identifier: Apache-2.0
// Deaths at every named step of streams and tensors.
#include <iostream>
#include <memory>
#include <set>

#include "array_scenarios.hpp"
#include "pool.hpp"
#include "steps.hpp"
#include "support/shm.hpp"

namespace {

using namespace kill_tests;

constexpr std::size_t kWorlds = 16;

bool wait_for_death(processes::Child& victim) {
  const std::string end = victim.join();
  processes::expect(end.empty() || end == "died of signal 9", "the victim: " + end);
  return !end.empty();
}

struct Death {
  const ArrayScenario* scenario;
  std::size_t point = kMostPoints;  // none: it lives
  unsigned pass = 0;
  [[nodiscard]] std::string text() const {
    return scenario->name + ", killed at " +
           (point == kMostPoints ? "nowhere" : points()[point] + ":" + std::to_string(pass));
  }
};

struct Result {  // shared with the world's process
  Steps steps;
  bool killed = false;
};

void run_worlds(const ShmTest& test, const std::vector<Death>& deaths,
                const std::function<void(const Death&, const Result&)>& seen) {
  static unsigned number = 0;
  Pool pool(kWorlds);
  for (const Death& death : deaths) {
    const auto result = std::make_shared<processes::Shared<Result>>();
    const std::string name = test.name("a" + std::to_string(++number));
    pool.start(
        [&death, result, name] {
          (*result)->steps.watch(death.point, death.pass);
          (*result)->killed = run_array_world(name, *death.scenario, observed, wait_for_death);
        },
        [&death, result, &seen](const std::string& outcome) {
          CHECK_MESSAGE(outcome.empty(), death.text(), ": ", outcome);
          seen(death, **result);
        });
  }
  pool.finish();
}

// The first and the last pass of each point; every pass if all is asked for.
std::vector<Death> deaths_in_all_scenarios(const ShmTest& test) {
  std::vector<Death> lives, deaths;
  for (const ArrayScenario& scenario : array_scenarios()) lives.push_back({&scenario});
  run_worlds(test, lives, [&](const Death& life, const Result& result) {
    CHECK_FALSE_MESSAGE(result.killed, life.text());
    for (std::size_t point = 0; point < points().size(); ++point) {
      const unsigned passes = result.steps.passes[point];
      for (unsigned pass = 1; pass <= passes; ++pass) {
        if (pass == 1 || pass == passes || asked_for_all()) deaths.push_back({life.scenario, point, pass});
      }
    }
  });
  return deaths;
}

TEST_CASE_FIXTURE(ShmTest,
                  "whoever dies at any named step in a stream, values stay whole and the next writer goes on") {
  const Watchdog watchdog(asked_for_all() ? 600 : 120);
  unsigned killed = 0;
  std::set<std::size_t> fatal;
  run_worlds(*this, deaths_in_all_scenarios(*this), [&](const Death& death, const Result& result) {
    killed += result.killed;
    if (result.killed) fatal.insert(death.point);
  });
  for (std::size_t point = 0; point < points().size(); ++point) {
    if (of_arrays(point)) CHECK_MESSAGE(fatal.contains(point), "no scenario dies at ", points()[point]);
  }
  std::cout << "named steps of streams and tensors: " << fatal.size() << " points killed at, " << killed << " deaths"
            << std::endl;
}

}  // namespace
