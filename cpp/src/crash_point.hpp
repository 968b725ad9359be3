// SPDX-License-Identifier: Apache-2.0
// Named steps before every store to shared memory, at which a test build can be told to die. Nothing in what users get.
#pragma once

#if defined(SHMLANE_CRASH_POINTS)
namespace shmlane {

using CrashObserver = void (*)(const char* name) noexcept;

// From now on every point that a thread of this process passes is shown to `observer`, which may kill; null: to nobody.
void observe_crash_points(CrashObserver observer) noexcept;

// Dies by SIGKILL at the pass that the environment names: SHMLANE_CRASH_AT=name or SHMLANE_CRASH_AT=name:pass. Before,
// the file SHMLANE_CRASH_LOG gets the name.
void crash_point(const char* name) noexcept;

}  // namespace shmlane
#define SHMLANE_CRASH_POINT(name) ::shmlane::crash_point(name)
#else
#define SHMLANE_CRASH_POINT(name) static_cast<void>(0)
#endif
