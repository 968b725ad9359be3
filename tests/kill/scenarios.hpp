// SPDX-License-Identifier: Apache-2.0
// All that a victim may be doing when it dies.
#pragma once

#include <vector>

#include "world.hpp"

namespace kill_tests {

inline Scenario long_walk(Scenario scenario) {
  scenario.long_walk = true;
  return scenario;
}

std::vector<Scenario> attaching();
std::vector<Scenario> producing();
std::vector<Scenario> consuming();
std::vector<Scenario> waiting();
std::vector<Scenario> locking();
std::vector<Scenario> reaping_and_leaving();

// All of them.
const std::vector<Scenario>& scenarios();

}  // namespace kill_tests
