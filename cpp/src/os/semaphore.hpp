// SPDX-License-Identifier: Apache-2.0
// Named semaphores. Boost.Interprocess wraps the same sem_t, but waits on the wall clock only (an hour too long when the
// clock is set back), hides that a signal came, and lets the umask cut the mode; hence this file.
#pragma once

#include <semaphore.h>

#include <cstdint>
#include <string>

namespace shmlane::os {

enum class SemaphoreWait : std::uint8_t { kTaken, kTimedOut, kInterrupted };

// Owns one mapping of a named semaphore. Movable; all operations may be called by several threads at once.
class NamedSemaphore {
 public:
  NamedSemaphore() = default;
  // Opens it, or creates it with value 0 and exactly these permissions. `name` begins with '/'.
  NamedSemaphore(const std::string& name, unsigned mode);
  NamedSemaphore(NamedSemaphore&& other) noexcept;
  NamedSemaphore& operator=(NamedSemaphore&& other) noexcept;
  ~NamedSemaphore();

  void post() noexcept;
  [[nodiscard]] bool try_wait() noexcept;
  // Waits until `deadline_ns` of the monotonic clock.
  [[nodiscard]] SemaphoreWait wait_until(std::int64_t deadline_ns) noexcept;

  static void remove(const std::string& name) noexcept;

 private:
  sem_t* semaphore_ = nullptr;
};

}  // namespace shmlane::os
