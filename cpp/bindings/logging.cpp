// SPDX-License-Identifier: Apache-2.0
// Lines of the core go to Python's logging, logger "shmlane"; levels and handlers are set there.
#include "shmlane/log.hpp"

#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "bind.hpp"

namespace shmlane::bindings {
namespace {

// Lines on their way. Who says one may hold a lock that the interpreter's holder waits for, so it must not ask for the
// interpreter's lock: the interpreter fetches the lines when it comes round.
class Lines {
 public:
  void add(LogLevel level, std::string_view text) {
    const std::lock_guard guard(mutex_);
    lines_.emplace_back(level, text);
  }
  std::vector<std::pair<LogLevel, std::string>> take() {
    const std::lock_guard guard(mutex_);
    return std::exchange(lines_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<std::pair<LogLevel, std::string>> lines_;
};

Lines& lines() {
  static auto& instance = *new Lines;  // outlives every static object that may say something at exit
  return instance;
}

int python_level(LogLevel level) {
  constexpr int kStep = 10;  // DEBUG is 10, INFO 20, WARNING 30, ERROR 40
  return kStep * (static_cast<int>(level) + 1);
}

int write_lines(void*) {
  try {
    const py::object logger = py::module_::import("logging").attr("getLogger")("shmlane");
    for (const auto& [level, text] : lines().take()) {
      const auto line = py::reinterpret_steal<py::object>(
          PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "backslashreplace"));
      logger.attr("log")(python_level(level), "%s", line);
    }
  } catch (py::error_already_set& error) {
    error.discard_as_unraisable("shmlane's logging");
  }
  return 0;
}

void add_line(LogLevel level, std::string_view text) {
  lines().add(level, text);
  if (!finalizing()) Py_AddPendingCall(&write_lines, nullptr);
}

}  // namespace

void route_log() {
  set_log_sink(&add_line);
  set_log_level(LogLevel::kDebug);
}

}  // namespace shmlane::bindings
