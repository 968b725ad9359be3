// SPDX-License-Identifier: Apache-2.0
// A variable of the environment, for as long as a test needs it.
#pragma once

#include <cstdlib>

class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() { ::unsetenv(name_); }

 private:
  const char* name_;
};
