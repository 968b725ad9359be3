// SPDX-License-Identifier: Apache-2.0
// For worker.py: where callgrind begins to count, and where it writes down what it has counted, under a name.
#include <valgrind/callgrind.h>

// valgrind's macros are not of our house.
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wpedantic"

extern "C" void begin_count() {
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
}

extern "C" void end_count(const char* name) {
  CALLGRIND_DUMP_STATS_AT(name);
  CALLGRIND_STOP_INSTRUMENTATION;
}
