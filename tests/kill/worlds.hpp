// SPDX-License-Identifier: Apache-2.0
// One world for each death, many at a time.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pool.hpp"
#include "support/processes.hpp"
#include "support/shm.hpp"

namespace kill_tests {

inline bool asked_for_all() { return std::getenv("SHMLANE_KILL_ALL") != nullptr; }

template <class Death, class Result>
using Seen = std::function<void(const Death&, const Result&)>;

// `run` is called in a process of the world's own, with a name, the death and a result that is shared with this process;
// what it throws is wrong. `seen` gets here what came of it.
template <class Result, class Death>
void run_worlds(const ShmTest& test, std::size_t at_a_time, const std::vector<Death>& deaths,
                const std::function<void(const std::string& name, const Death&, Result&)>& run,
                const Seen<Death, Result>& seen) {
  static unsigned number = 0;
  Pool pool(at_a_time);
  for (const Death& death : deaths) {
    const auto result = std::make_shared<processes::Shared<Result>>();
    const std::string name = test.name(std::to_string(++number));
    pool.start([&death, &run, result, name] { run(name, death, **result); },
               [&death, &seen, result](const std::string& outcome) {
                 CHECK_MESSAGE(outcome.empty(), death.text(), ": ", outcome);
                 seen(death, **result);
               });
  }
  pool.finish();
}

}  // namespace kill_tests
