// SPDX-License-Identifier: Apache-2.0
// What a victim in a stream or a tensor may be doing when it dies, and what everybody else must find afterwards.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "support/processes.hpp"
#include "world.hpp"

namespace kill_tests {

struct ArrayScenario {
  std::string name;
  bool made;                                            // whether there is a stream, or a tensor, before
  std::function<Act(const std::string& name)> prepare;  // in the victim's process; it may die in the act
  bool cleared = false;                                 // a value of zeros may be the newest
  bool sleeper = false;                                 // somebody waits for the victim's write
  bool tensor = false;
  bool of_data = false;  // the tensor that is created is all fives, else all zeros
};

const std::vector<ArrayScenario>& array_scenarios();

// Called in the victim, around the act; and with the victim's process, to wait until it is dead (true) or done.
using Wrap = std::function<void(const Act&)>;
using Executioner = std::function<bool(processes::Child& victim)>;

// Whether the victim died. Throws what is wrong afterwards: readers must get whole values, the next writer go on, sleepers
// wake, locks be given back, and nothing be left.
bool run_array_world(const std::string& name, const ArrayScenario& scenario, const Wrap& wrap,
                     const Executioner& execute);

}  // namespace kill_tests
