// SPDX-License-Identifier: Apache-2.0
// Named semaphores by glibc.
#include "os/semaphore.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "shmlane/error.hpp"

namespace shmlane::os {

NamedSemaphore::NamedSemaphore(const std::string& name, unsigned mode) {
  mode &= 0777;  // it may come from a header that others can write: never make a file that runs as its owner
  do {
    // Opened first: sem_open creates by way of a temporary file, which a death at that moment would leave behind.
    semaphore_ = ::sem_open(name.c_str(), 0);
    if (semaphore_ != SEM_FAILED) return;
    if (errno == ENOENT) semaphore_ = ::sem_open(name.c_str(), O_CREAT | O_EXCL, mode, 0);
  } while (semaphore_ == SEM_FAILED && errno == EEXIST);
  if (semaphore_ != SEM_FAILED) {
    // sem_open obeys the umask; the file is ours, made this moment, in a directory with the sticky bit.
    ::chmod(("/dev/shm/sem." + name.substr(1)).c_str(), mode);
    return;
  }
  semaphore_ = nullptr;
  const std::string message = "cannot open the semaphore '" + name + "': " + std::strerror(errno);
  if (errno == EACCES)
    throw PermissionDenied(message + "; it belongs to another user (its owner can allow it by mode=)");
  if (errno == ENOSPC) throw NoSpace(message);
  throw SystemError(message);
}

NamedSemaphore::NamedSemaphore(NamedSemaphore&& other) noexcept
    : semaphore_(std::exchange(other.semaphore_, nullptr)) {}

NamedSemaphore& NamedSemaphore::operator=(NamedSemaphore&& other) noexcept {
  std::swap(semaphore_, other.semaphore_);
  return *this;
}

NamedSemaphore::~NamedSemaphore() {
  if (semaphore_ != nullptr) ::sem_close(semaphore_);
}

void NamedSemaphore::post() noexcept { ::sem_post(semaphore_); }

bool NamedSemaphore::try_wait() noexcept { return ::sem_trywait(semaphore_) == 0; }

SemaphoreWait NamedSemaphore::wait_until(std::int64_t deadline_ns) noexcept {
  const timespec deadline{deadline_ns / 1'000'000'000, deadline_ns % 1'000'000'000};
  if (::sem_clockwait(semaphore_, CLOCK_MONOTONIC, &deadline) == 0) return SemaphoreWait::kTaken;
  return errno == EINTR ? SemaphoreWait::kInterrupted : SemaphoreWait::kTimedOut;
}

void NamedSemaphore::remove(const std::string& name) noexcept { ::sem_unlink(name.c_str()); }

}  // namespace shmlane::os
