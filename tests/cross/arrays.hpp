// SPDX-License-Identifier: Apache-2.0
// What the C++ worker does with streams and tensors; array_worker.py is its twin.
#pragma once

#include <optional>
#include <string>
#include <vector>

// The status to end with; nothing if these are words about something else.
std::optional<int> run_arrays(const std::vector<std::string>& words);

// Tells that something is held now, and waits to be killed.
[[noreturn]] void hold();
