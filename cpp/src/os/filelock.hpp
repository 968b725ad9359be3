// SPDX-License-Identifier: Apache-2.0
// Locks on single bytes of a file that belong to an open file description (F_OFD_SETLK). Boost.Interprocess has
// process-owned record locks only: those vanish when any descriptor of the file is closed, and cannot tell two handles
// of one process apart.
#pragma once

#include <cstdint>

namespace shmlane::os {

// Takes the byte if nobody else has it. Throws SystemError where the kernel does not know such locks.
bool try_lock_byte(int fd, std::uint64_t byte);
void unlock_byte(int fd, std::uint64_t byte) noexcept;
// True if another open file description holds the byte; one's own never shows.
bool byte_locked_elsewhere(int fd, std::uint64_t byte) noexcept;

}  // namespace shmlane::os
