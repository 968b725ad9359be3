// SPDX-License-Identifier: Apache-2.0
// Crash points, found in the sources and counted as they are passed.
#include "steps.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "crash_point.hpp"

namespace kill_tests {
namespace {

Steps* steps = nullptr;

std::vector<std::string> points_in_the_sources() {
  std::vector<std::string> names;
  const std::regex point("SHMLANE_CRASH_POINT\\(\"([^\"]+)\"\\)");
  for (const auto& file : std::filesystem::recursive_directory_iterator(SHMLANE_SOURCE_DIR "/cpp/src")) {
    // What is about GPUs dies in tests/cuda.
    if (!file.is_regular_file() || file.path().parent_path().filename() == "cuda") continue;
    std::ostringstream text;
    text << std::ifstream(file.path()).rdbuf();
    const std::string source = text.str();
    for (std::sregex_iterator found(source.begin(), source.end(), point), end; found != end; ++found) {
      names.push_back((*found)[1]);
    }
  }
  return names;
}

void pass(const char* name) noexcept {
  const auto index = static_cast<std::size_t>(std::find(points().begin(), points().end(), name) - points().begin());
  if (++steps->passes[index] == steps->fatal_pass && index == steps->fatal) std::raise(SIGKILL);
}

}  // namespace

const std::vector<std::string>& points() {
  static const std::vector<std::string> names = points_in_the_sources();
  return names;
}

bool of_arrays(std::size_t point) {
  return std::ranges::any_of(std::array{"stream.", "tensor.", "array.", "bell.", "write_lock.", "read_lock."},
                             [&](const char* beginning) { return points()[point].starts_with(beginning); });
}

void Steps::watch(std::size_t point, unsigned pass) {
  steps = this;
  fatal = point;
  fatal_pass = pass;
}

void observed(const Act& act) {
  shmlane::observe_crash_points(pass);
  act();
  shmlane::observe_crash_points(nullptr);
}

}  // namespace kill_tests
