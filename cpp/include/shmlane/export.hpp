// SPDX-License-Identifier: Apache-2.0
// What the library shows to the outside although everything else is hidden.
#pragma once

#define SHMLANE_EXPORT __attribute__((visibility("default")))
