// SPDX-License-Identifier: Apache-2.0
// Facts about this process and machine.
#pragma once

#include <cstdint>
#include <string>

namespace shmlane::os {

std::uint32_t process_id() noexcept;
std::string process_name();
std::uint64_t random_u64();
// Not only those that this process is pinned to: the one that it waits for may run elsewhere.
unsigned online_cores() noexcept;
void yield_core() noexcept;

}  // namespace shmlane::os
