// SPDX-License-Identifier: Apache-2.0
// One worker alone that does the same step again and again, perhaps observed by a reader on another core.
#pragma once

#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>

#include "peer.hpp"

namespace bench {

constexpr unsigned kSteps = 64;  // between two looks of the driver

// Base makes and removes what the loop works on.
template <class Loop, class Base>
class AloneOn final : public Base {
 public:
  void work(const Task& task) const override {
    for (Loop loop(task.setup);;) {
      for (unsigned i = 0; i < kSteps; ++i) loop.step();
      task.meter.bytes += kSteps * task.setup.largest;
      publish(task.meter.objects, task.meter.objects + kSteps);
    }
  }
};

// On another core somebody reads a thousand times a second.
template <class Write, class Read>
struct Observed : Write {
  explicit Observed(const Setup& setup) : Write(setup) {
    constexpr std::int64_t kPause = 1'000'000;
    if (::fork() != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    settle(1);
    for (Read reader(setup);; pause_for(kPause)) reader.step();
  }
};

}  // namespace bench
