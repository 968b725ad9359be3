// SPDX-License-Identifier: Apache-2.0
// JSON values as compact UTF-8 text, held to what every implementation can read (W-83).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "shmlane/codec.hpp"

namespace shmlane {

// Levels of lists and objects in one another; keeps every reader's recursion within its stack.
inline constexpr unsigned kMaxJsonDepth = 500;

// Bytes of the value's text. Throws InvalidArgument for NaN, infinities, strings that are not UTF-8 and too many levels,
// UnsupportedType for binary values.
[[nodiscard]] std::uint64_t json_text_size(const Json& value);
// Writes the text; `out` has exactly json_text_size(value) bytes.
void write_json_text(const Json& value, std::span<std::byte> out);
void append_json_text(std::string& out, const Json& value);

// Throws Corrupt if `text` is not one JSON value, or beyond the limits above.
[[nodiscard]] Json parse_json_text(std::string_view text);

// The beginning of any bytes, quoted and escaped to ASCII, fit for an error's or a log's text. (Call it qualified: with a
// std::string, std::quoted would be found as well.)
[[nodiscard]] std::string quoted(std::string_view text);

}  // namespace shmlane
