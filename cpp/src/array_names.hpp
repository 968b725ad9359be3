// SPDX-License-Identifier: Apache-2.0
// Streams and tensors by their names: which there are, and removing one (SPEC 11.5).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "shmlane/wire_array.hpp"

namespace shmlane {

// Sorted; what may not be read is left out.
std::vector<std::string> names_of_kind(wire::Kind kind);
// Whoever lives in it. False if there is none. Throws WrongKind, Foreign, WrongVersion, WrongLayout, PermissionDenied.
bool remove_of_kind(std::string_view name, wire::Kind kind);

}  // namespace shmlane
