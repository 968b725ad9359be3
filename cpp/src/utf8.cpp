// SPDX-License-Identifier: Apache-2.0
// UTF-8 validation, many bytes at a time as long as they are ASCII.
#include "utf8.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace shmlane {
namespace {

constexpr std::uint64_t kHighBits = 0x8080808080808080;

std::uint64_t load8(const unsigned char* at) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

const unsigned char* skip_ascii(const unsigned char* at, const unsigned char* end) noexcept {
  while (end - at >= 32 && ((load8(at) | load8(at + 8) | load8(at + 16) | load8(at + 24)) & kHighBits) == 0) at += 32;
  while (end - at >= 8 && (load8(at) & kHighBits) == 0) at += 8;
  while (at != end && *at < 0x80) ++at;
  return at;
}

bool continues(unsigned char byte) noexcept { return (byte & 0xc0) == 0x80; }

// Length of the well-formed sequence of two to four bytes at `at`, else 0 (Unicode standard, table 3-7).
std::size_t sequence_length(const unsigned char* at, const unsigned char* end) noexcept {
  const auto left = static_cast<std::size_t>(end - at);
  const unsigned lead = at[0];
  if (lead >= 0xc2 && lead <= 0xdf) return left >= 2 && continues(at[1]) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if (left < 3 || !continues(at[1]) || !continues(at[2])) return 0;
    const bool overlong = lead == 0xe0 && at[1] < 0xa0;
    const bool surrogate = lead == 0xed && at[1] > 0x9f;
    return overlong || surrogate ? 0 : 3;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if (left < 4 || !continues(at[1]) || !continues(at[2]) || !continues(at[3])) return 0;
    const bool overlong = lead == 0xf0 && at[1] < 0x90;
    const bool too_large = lead == 0xf4 && at[1] > 0x8f;
    return overlong || too_large ? 0 : 4;
  }
  return 0;
}

}  // namespace

bool valid_utf8(std::string_view text) noexcept {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = at + text.size();
  while ((at = skip_ascii(at, end)) != end) {
    // Runs of other scripts stay here: going back to the ASCII loop for each of their characters would cost more.
    do {
      const std::size_t length = sequence_length(at, end);
      if (length == 0) return false;
      at += length;
    } while (at != end && *at >= 0x80);
  }
  return true;
}

}  // namespace shmlane
