// SPDX-License-Identifier: Apache-2.0
// Locks on single bytes of a file that belong to an open file description (F_OFD_SETLK). Boost.Interprocess has
// process-owned record locks only: those vanish when any descriptor of the file is closed, and cannot tell two handles
// of one process apart.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace shmlane::os {

// A descriptor, and the file that it led to at first. User code may close what is not its own (daemons close all
// descriptors), and the number may stand for another file since: nothing may be asked of that one, or done to it.
class KnownFile {
 public:
  KnownFile() = default;
  explicit KnownFile(int fd) noexcept;
  [[nodiscard]] int fd() const noexcept { return fd_; }
  // Whether the descriptor leads to the same file still. Async-signal-safe.
  [[nodiscard]] bool intact() const noexcept;

 private:
  int fd_ = -1;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// Takes the byte if nobody else has it. Throws SystemError where the kernel does not know such locks.
bool try_lock_byte(int fd, std::uint64_t byte);
void unlock_byte(int fd, std::uint64_t byte) noexcept;
// True if another open file description holds the byte; one's own never shows.
bool byte_locked_elsewhere(int fd, std::uint64_t byte) noexcept;

}  // namespace shmlane::os
