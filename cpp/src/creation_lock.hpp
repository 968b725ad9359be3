// SPDX-License-Identifier: Apache-2.0
// The lock under which a name's segment is made, replaced or removed: one byte of the file itself (W-72).
#pragma once

#include <algorithm>
#include <string>

#include "os/clock.hpp"
#include "os/filelock.hpp"
#include "shmlane/error.hpp"
#include "shmlane/wire.hpp"

namespace shmlane {

class CreationLock {
 public:
  // Waits up to `patience_ns`; throws TimedOut. The descriptor must stay open longer than this object lives.
  CreationLock(int fd, const std::string& name, std::int64_t patience_ns = 10'000'000'000) : fd_(fd) {
    const std::int64_t end = os::monotonic_ns() + patience_ns;
    for (std::int64_t pause = 20'000; !os::try_lock_byte(fd, wire::kCreationLockByte);
         pause = std::min<std::int64_t>(2 * pause, 10'000'000)) {
      if (os::monotonic_ns() > end) {
        throw TimedOut("'" + name + "' is being created or removed by a process that does not go on; is it stopped?");
      }
      os::sleep_ns(pause);
    }
  }
  CreationLock(const CreationLock&) = delete;
  CreationLock& operator=(const CreationLock&) = delete;
  ~CreationLock() { os::unlock_byte(fd_, wire::kCreationLockByte); }

 private:
  int fd_;
};

}  // namespace shmlane
