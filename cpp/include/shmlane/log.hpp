// SPDX-License-Identifier: Apache-2.0
// What the library tells people: a level, a sink, and nothing on standard error below a warning unless asked.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "shmlane/export.hpp"

namespace shmlane {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError, kOff };

// "debug", "info", "warning", "error", "off".
SHMLANE_EXPORT std::string_view log_level_name(LogLevel level) noexcept;

// Takes one line without its end. Called by whichever thread has something to say, also by several at once.
using LogSink = std::function<void(LogLevel level, std::string_view text)>;

// Replaces the sink; an empty one restores the default, which writes "shmlane: warning: ..." to standard error.
// A line that another thread is writing may still go to the former sink. Thread-safe, as everything here.
SHMLANE_EXPORT void set_log_sink(LogSink sink);

// Lines below `level` are dropped. At the start the level is kWarning.
SHMLANE_EXPORT void set_log_level(LogLevel level) noexcept;
[[nodiscard]] SHMLANE_EXPORT LogLevel log_level() noexcept;

// For people who look for a fault: from now on everything from `level` on goes to standard error.
SHMLANE_EXPORT void enable_logging(LogLevel level = LogLevel::kInfo);

// True if a line of this level would reach the sink; ask before composing a costly text.
[[nodiscard]] SHMLANE_EXPORT bool log_enabled(LogLevel level) noexcept;

// Says one line. Never throws: what a sink throws is dropped.
SHMLANE_EXPORT void log(LogLevel level, std::string_view text) noexcept;

}  // namespace shmlane
