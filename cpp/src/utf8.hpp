// SPDX-License-Identifier: Apache-2.0
// Whether bytes are UTF-8.
#pragma once

#include <string_view>

namespace shmlane {

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. The empty text is valid.
[[nodiscard]] bool valid_utf8(std::string_view text) noexcept;

}  // namespace shmlane
