// SPDX-License-Identifier: Apache-2.0
// Names of the error codes; the exceptions' destructors live here so that their type information is emitted once.
#include "shmlane/error.hpp"

namespace shmlane {

Error::~Error() = default;

#define SHMLANE_X(name, meaning) name::~name() = default;
SHMLANE_ERRORS(SHMLANE_X)
#undef SHMLANE_X

const char* error_name(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kOk:
      return "Ok";
#define SHMLANE_X(name, meaning) \
  case ErrorCode::k##name:       \
    return #name;
      SHMLANE_ERRORS(SHMLANE_X)
#undef SHMLANE_X
  }
  return "Unknown";
}

}  // namespace shmlane
