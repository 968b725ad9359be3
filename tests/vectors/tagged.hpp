// SPDX-License-Identifier: Apache-2.0
// What an object means, as JSON in which every value tells its type (wire-format/README.md).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "shmlane/value.hpp"

namespace testee {

shmlane::Json tagged(const shmlane::Value& value);

std::string to_hex(std::span<const std::byte> bytes);
// Throws std::invalid_argument for what is not hexadecimal.
std::vector<std::byte> from_hex(const std::string& digits);

}  // namespace testee
