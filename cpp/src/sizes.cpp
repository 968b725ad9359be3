// SPDX-License-Identifier: Apache-2.0
// Sizes as people write them.
#include <charconv>
#include <cmath>
#include <string>

#include "shmlane/error.hpp"
#include "shmlane/options.hpp"

namespace shmlane {
namespace {

[[noreturn]] void refuse(std::string_view text) {
  throw InvalidArgument("'" + std::string(text) + "' is not a size; write for instance 65536, 64k, 1.5MiB or 2 GB");
}

// k, M, G, T mean powers of 1024 with or without "iB"; "kB", "MB" ... are powers of 1000.
double unit_of(std::string_view unit, std::string_view text) {
  if (unit.empty() || unit == "B" || unit == "b") return 1;
  constexpr std::string_view kPrefixes = "KMGT";
  const std::size_t power = kPrefixes.find(unit[0] == 'k' ? 'K' : static_cast<char>(unit[0] & ~0x20));
  if (power == kPrefixes.npos) refuse(text);
  const std::string_view rest = unit.substr(1);
  const bool decimal = rest == "B" || rest == "b";
  if (!rest.empty() && !decimal && rest != "iB" && rest != "ib" && rest != "i") refuse(text);
  return std::pow(decimal ? 1000.0 : 1024.0, static_cast<double>(power + 1));
}

}  // namespace

std::uint64_t parse_size(std::string_view text) {
  const char* const end = text.data() + text.size();
  double number = 0;
  const auto [after, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (error != std::errc{} || number < 0) refuse(text);
  std::string_view unit(after, static_cast<std::size_t>(end - after));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  const double bytes = number * unit_of(unit, text);
  if (bytes != std::floor(bytes) || bytes > 9.0e15) refuse(text);
  return static_cast<std::uint64_t>(bytes);
}

}  // namespace shmlane
