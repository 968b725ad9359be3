// SPDX-License-Identifier: Apache-2.0
// The cases about streams and tensors.
#pragma once

#include <map>
#include <string>

#include "shmlane/codec.hpp"

namespace testee {

using Cases = std::map<std::string, shmlane::Json (*)(const shmlane::Json&)>;

const Cases& array_cases();

}  // namespace testee
