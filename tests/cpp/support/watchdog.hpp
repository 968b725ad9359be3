// SPDX-License-Identifier: Apache-2.0
// Ends the test program if a blocking test does not come back.
#pragma once

#include <unistd.h>

// One at a time. When the time is over the process dies of SIGALRM, which no test can hold up.
class Watchdog {
 public:
  explicit Watchdog(unsigned seconds = 60) { ::alarm(seconds); }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog() { ::alarm(0); }
};
