// SPDX-License-Identifier: Apache-2.0
// The cases that the C++ testee answers (wire-format/README.md).
#pragma once

#include "shmlane/codec.hpp"

namespace testee {

// Errors of the library are answers. Throws others for what is no case.
shmlane::Json answer(const shmlane::Json& one_case);

}  // namespace testee
