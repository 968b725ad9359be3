// SPDX-License-Identifier: Apache-2.0
// What the calls and handles of every kind of segment take: time-outs, sizes, what to do with left-overs.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "shmlane/export.hpp"

namespace shmlane {

// How long a call may block; `forever` by default. Zero does not wait.
using Timeout = std::optional<std::chrono::nanoseconds>;
inline constexpr std::nullopt_t forever = std::nullopt;
inline constexpr std::chrono::nanoseconds no_wait{0};

// What to do with a segment that no living participant uses: see SPEC section 7.
enum class Stale : std::uint8_t { kAuto, kKeep, kReplace };

// "256MiB", "1 GiB", "64k" or a plain number of bytes. Throws InvalidArgument.
SHMLANE_EXPORT std::uint64_t parse_size(std::string_view text);

// Called between two slices (at most 100 ms) of every wait of a handle; may throw, which ends the wait.
using InterruptCheck = void (*)();

}  // namespace shmlane
