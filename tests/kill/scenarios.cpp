// SPDX-License-Identifier: Apache-2.0
// The list of all scenarios.
#include "scenarios.hpp"

namespace kill_tests {

const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> all = [] {
    std::vector<Scenario> joined;
    for (const auto group : {attaching, producing, consuming, waiting, locking, reaping_and_leaving}) {
      const std::vector<Scenario> some = group();
      joined.insert(joined.end(), some.begin(), some.end());
    }
    return joined;
  }();
  return all;
}

}  // namespace kill_tests
