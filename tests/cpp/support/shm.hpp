// SPDX-License-Identifier: Apache-2.0
// A fixture for tests that touch /dev/shm: names of their own, a watchdog, and the proof that nothing is left behind.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "support/watchdog.hpp"

// Each handle has a mapping of its own, and the thread sanitizer takes two mappings of one file for two memories. So it
// does not see that a producer came between two consumers of the same bytes; test_ring_threads.cpp has one mapping.
#if defined(SHMLANE_TSAN)
inline constexpr bool kMappingsLookApart = true;
#else
inline constexpr bool kMappingsLookApart = false;
#endif

class ShmTest {
 public:
  ShmTest() : prefix_("cpp-" + std::to_string(::getpid()) + "-" + std::to_string(++tests) + "-") {}
  ShmTest(const ShmTest&) = delete;
  ShmTest& operator=(const ShmTest&) = delete;
  ~ShmTest() {
    const std::vector<std::string> left = files();
    for (const std::string& file : left) {
      CHECK_MESSAGE(false, "left behind: ", file);
      std::filesystem::remove("/dev/shm/" + file);
    }
  }

  // A name that nobody else uses; another one for each `which`.
  [[nodiscard]] std::string name(const std::string& which = "q") const { return prefix_ + which; }

  // Files in /dev/shm that belong to names of this test, sorted.
  [[nodiscard]] std::vector<std::string> files() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
      const std::string file = entry.path().filename().string();
      if (file.find("shmlane." + prefix_) != file.npos) found.push_back(file);
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  [[nodiscard]] bool exists(const std::string& which = "q") const {
    return std::filesystem::exists("/dev/shm/shmlane." + name(which));
  }

 private:
  static inline int tests = 0;
  std::string prefix_;
  Watchdog watchdog_;
};
