// SPDX-License-Identifier: Apache-2.0
// Deaths at every crash point that the sources name, in every scenario that passes it.
#include <iostream>
#include <set>

#include "array_scenarios.hpp"
#include "scenarios.hpp"
#include "steps.hpp"
#include "support/shm.hpp"
#include "world.hpp"
#include "worlds.hpp"

namespace {

using namespace kill_tests;

constexpr std::size_t kWorlds = 24;

bool wait_for_death(processes::Child& victim) {
  const std::string end = victim.join();
  processes::expect(end.empty() || end == "died of signal 9", "the victim: " + end);
  return !end.empty();
}

template <class Scenario>
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

void run(const std::string& name, const Death<Scenario>& death, Result& result) {
  result.steps.watch(death.point, death.pass);
  World(name, *death.scenario).run(observed, wait_for_death, result.aftermath);
}

void run(const std::string& name, const Death<ArrayScenario>& death, Result& result) {
  result.steps.watch(death.point, death.pass);
  result.aftermath.killed = run_array_world(name, *death.scenario, observed, wait_for_death);
}

template <class Scenario>
void run_all(const ShmTest& test, const std::vector<Death<Scenario>>& deaths,
             const Seen<Death<Scenario>, Result>& seen) {
  const auto run_one = [](const std::string& name, const Death<Scenario>& death, Result& result) {
    run(name, death, result);
  };
  run_worlds<Result, Death<Scenario>>(test, kWorlds, deaths, run_one, seen);
}

// The first and the last pass of each point; every pass if all is asked for.
template <class Scenario>
std::vector<Death<Scenario>> deaths_in(const ShmTest& test, const std::vector<Scenario>& scenarios) {
  std::vector<Death<Scenario>> lives, deaths;
  for (const Scenario& scenario : scenarios) lives.push_back({&scenario});
  run_all<Scenario>(test, lives, [&](const Death<Scenario>& life, const Result& result) {
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

struct Summary {
  unsigned deaths = 0, survived = 0, redelivered = 0;
  std::int64_t longest_ns = 0;
  std::set<std::size_t> fatal;
};

// Deaths at all points of queues, or at all of streams and tensors.
template <class Scenario>
Summary kill_at_all(const ShmTest& test, const std::vector<Scenario>& scenarios, bool arrays) {
  Summary sum;
  run_all<Scenario>(test, deaths_in(test, scenarios), [&](const Death<Scenario>& death, const Result& result) {
    const Aftermath& found = result.aftermath;
    sum.deaths += found.killed;
    sum.survived += found.killed && found.sound;
    if (found.killed) sum.fatal.insert(death.point);
    sum.redelivered += found.account.redelivered;
    sum.longest_ns = std::max(sum.longest_ns, found.recovery_ns);
  });
  for (std::size_t point = 0; point < points().size(); ++point) {
    if (of_arrays(point) == arrays) {
      CHECK_MESSAGE(sum.fatal.contains(point), "no scenario dies at ", points()[point]);
    }
  }
  return sum;
}

TEST_CASE("the points in the sources have names of their own") {
  const std::set<std::string> names(points().begin(), points().end());
  CHECK(names.size() == points().size());
  CHECK(names.size() > 60);
  CHECK(names.size() <= kMostPoints);
}

TEST_CASE_FIXTURE(ShmTest, "whoever dies at any named step, the others finish a checked transfer") {
  const Watchdog watchdog(asked_for_all() ? 1200 : 150);
  const Summary sum = kill_at_all(*this, scenarios(), false);
  if (asked_for_all()) CHECK(sum.longest_ns < 1'000'000'000);  // the promise; an ordinary run judges no times
  std::cout << "named steps of queues: " << points().size() << " points in all, " << sum.fatal.size() << " killed at, "
            << sum.deaths << " deaths, " << sum.survived << " survived without loss or duplicate, " << sum.redelivered
            << " redelivered (declared), longest recovery " << sum.longest_ns / 1'000'000 << " ms" << std::endl;
}

TEST_CASE_FIXTURE(ShmTest,
                  "whoever dies at any named step in a stream, values stay whole and the next writer goes on") {
  const Watchdog watchdog(asked_for_all() ? 600 : 120);
  const Summary sum = kill_at_all(*this, array_scenarios(), true);
  std::cout << "named steps of streams and tensors: " << sum.fatal.size() << " points killed at, " << sum.deaths
            << " deaths" << std::endl;
}

}  // namespace
