// SPDX-License-Identifier: Apache-2.0
// Walking victims through their acts, on one core.
#pragma once

#include <sched.h>

#include "tracer.hpp"
#include "world.hpp"

namespace kill_tests {

// Tracer and walked process on one core hand over to each other ten times as fast as on two.
class OneCore {
 public:
  explicit OneCore(pid_t other) {
    ::sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
    ::sched_setaffinity(0, sizeof one, &one);
    ::sched_setaffinity(other, sizeof one, &one);
  }
  OneCore(const OneCore&) = delete;
  OneCore& operator=(const OneCore&) = delete;
  ~OneCore() { ::sched_setaffinity(0, sizeof before_, &before_); }

 private:
  cpu_set_t before_{};
};

// The act between the marks.
inline void walked(const Act& act) {
  begin_of_walk();
  act();
  end_of_walk();
}

}  // namespace kill_tests
