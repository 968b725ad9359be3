// SPDX-License-Identifier: Apache-2.0
// Named steps before every store to shared memory, at which a test build can be told to die. Nothing in what users get.
#pragma once

#if defined(SHMLANE_CRASH_POINTS)
namespace shmlane {
void crash_point(const char* name) noexcept;
}
#define SHMLANE_CRASH_POINT(name) ::shmlane::crash_point(name)
#else
#define SHMLANE_CRASH_POINT(name) static_cast<void>(0)
#endif
