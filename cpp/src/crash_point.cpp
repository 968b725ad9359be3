// SPDX-License-Identifier: Apache-2.0
// Dying at named steps, for tests of what survives that. Empty in what users get.
#include "crash_point.hpp"

#if defined(SHMLANE_CRASH_POINTS)
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace shmlane {
namespace {

std::atomic<CrashObserver> watching{nullptr};

struct Plan {  // what the environment asks for
  Plan() {
    if (const char* const file = std::getenv("SHMLANE_CRASH_LOG")) log = std::fopen(file, "a");
    const char* const asked = std::getenv("SHMLANE_CRASH_AT");
    if (asked == nullptr) return;
    name = asked;
    const std::size_t colon = name.find(':');
    if (colon == name.npos) return;
    left = std::atol(name.c_str() + colon + 1);
    name.resize(colon);
  }
  std::string name;
  std::atomic<long> left{1};
  std::FILE* log = nullptr;  // gets the name of each point that is passed
};

}  // namespace

void observe_crash_points(CrashObserver observer) noexcept { watching.store(observer); }

void crash_point(const char* name) noexcept {
  static Plan plan;
  if (plan.log != nullptr) {
    std::fprintf(plan.log, "%s\n", name);
    std::fflush(plan.log);
  }
  if (plan.name == name && --plan.left == 0) std::raise(SIGKILL);
  if (const CrashObserver observer = watching.load()) observer(name);
}

}  // namespace shmlane
#endif
