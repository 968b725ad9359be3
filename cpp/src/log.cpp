// SPDX-License-Identifier: Apache-2.0
// The log's level and sink.
#include "shmlane/log.hpp"

#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>

namespace shmlane {
namespace {

struct Log {
  std::atomic<LogLevel> level{LogLevel::kWarning};
  std::mutex mutex;
  std::shared_ptr<const LogSink> sink;  // guarded by mutex; null: standard error
};

// Never destroyed: handles that end with the program still have something to say.
Log& the_log() {
  static Log* const log = new Log;
  return *log;
}

void write_to_stderr(LogLevel level, std::string_view text) noexcept {
  const std::string_view name = log_level_name(level);
  std::fprintf(stderr, "shmlane: %.*s: %.*s\n", static_cast<int>(name.size()), name.data(),
               static_cast<int>(text.size()), text.data());
}

std::shared_ptr<const LogSink> current_sink() {
  const std::lock_guard lock(the_log().mutex);
  return the_log().sink;
}

}  // namespace

std::string_view log_level_name(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
    case LogLevel::kOff:
      return "off";
  }
  return "unknown";
}

void set_log_sink(LogSink sink) {
  auto replacement = sink ? std::make_shared<const LogSink>(std::move(sink)) : nullptr;
  const std::lock_guard lock(the_log().mutex);
  the_log().sink.swap(replacement);
}

// Relaxed throughout: the level orders nothing else.
void set_log_level(LogLevel level) noexcept { the_log().level.store(level, std::memory_order_relaxed); }

LogLevel log_level() noexcept { return the_log().level.load(std::memory_order_relaxed); }

void enable_logging(LogLevel level) {
  set_log_sink({});
  set_log_level(level);
}

bool log_enabled(LogLevel level) noexcept { return level != LogLevel::kOff && level >= log_level(); }

void log(LogLevel level, std::string_view text) noexcept {
  if (!log_enabled(level)) return;
  try {
    // Outside of the lock, so that a sink may log or be replaced by itself.
    if (const auto sink = current_sink()) {
      (*sink)(level, text);
    } else {
      write_to_stderr(level, text);
    }
  } catch (...) {  // NOLINT(bugprone-empty-catch): destructors log, and there is nobody left to tell
  }
}

}  // namespace shmlane
