// SPDX-License-Identifier: Apache-2.0
// Descriptors by readv, writev and poll.
#include "os/pipe.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <ctime>
#include <string>

#include "shmlane/error.hpp"

namespace shmlane::os {
namespace {

// Keeps the SIGPIPE of a write away from the process. The signal is sent to the writing thread, so it is enough to block
// it there and to take it back before it is unblocked. A SIGPIPE that already waited stays what it was.
class SigpipeBlocked {
 public:
  SigpipeBlocked() noexcept {
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
    sigset_t pending{};
    // An unblocked signal cannot be pending: most callers are spared the question.
    waited_already_ =
        sigismember(&before_, SIGPIPE) == 1 && ::sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
  }
  SigpipeBlocked(const SigpipeBlocked&) = delete;
  SigpipeBlocked& operator=(const SigpipeBlocked&) = delete;
  ~SigpipeBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  void take_back() const noexcept {
    if (waited_already_) return;
    constexpr timespec kNoWait{};
    while (::sigtimedwait(&sigpipe_, nullptr, &kNoWait) < 0 && errno == EINTR) {
    }
  }

 private:
  sigset_t sigpipe_{};
  sigset_t before_{};
  bool waited_already_ = false;
};

// Drops what is done and what is empty.
void skip(std::span<iovec>& parts, std::size_t done) noexcept {
  while (!parts.empty() && done >= parts.front().iov_len) {
    done -= parts.front().iov_len;
    parts = parts.subspan(1);
  }
  if (parts.empty()) return;
  parts.front().iov_base = static_cast<std::byte*>(parts.front().iov_base) + done;
  parts.front().iov_len -= done;
}

// After a failed call: returns when it is worth another try, else throws.
void recover(int fd, short events, int error, const char* what, OnInterrupt on_interrupt) {
  if (error == EINTR) {
    if (on_interrupt != nullptr) on_interrupt();
    return;
  }
  if (error != EAGAIN && error != EWOULDBLOCK) {
    throw SystemError(std::string("cannot ") + what + " descriptor " + std::to_string(fd) + ": " +
                      std::strerror(error));
  }
  pollfd request{fd, events, 0};
  while (::poll(&request, 1, -1) < 0 && errno == EINTR) {
    if (on_interrupt != nullptr) on_interrupt();
  }
}

}  // namespace

void write_all(int fd, std::span<iovec> parts, OnInterrupt on_interrupt) {
  const SigpipeBlocked blocked;
  for (skip(parts, 0); !parts.empty();) {
    const ssize_t done = ::writev(fd, parts.data(), static_cast<int>(parts.size()));
    if (done >= 0) {
      skip(parts, static_cast<std::size_t>(done));
      // A signal that comes after the first byte ends the call with what was written until then.
      if (!parts.empty() && on_interrupt != nullptr) on_interrupt();
    } else if (errno == EPIPE || errno == ECONNRESET) {
      if (errno == EPIPE) blocked.take_back();
      throw BrokenPipe("the reader of descriptor " + std::to_string(fd) + " is gone");
    } else {
      recover(fd, POLLOUT, errno, "write to", on_interrupt);
    }
  }
}

std::size_t read_some(int fd, std::span<iovec> parts, OnInterrupt on_interrupt) {
  for (;;) {
    const ssize_t done = ::readv(fd, parts.data(), static_cast<int>(parts.size()));
    if (done >= 0) return static_cast<std::size_t>(done);
    recover(fd, POLLIN, errno, "read from", on_interrupt);
  }
}

std::size_t read_all(int fd, std::span<iovec> parts, OnInterrupt on_interrupt) {
  std::size_t total = 0;
  for (skip(parts, 0); !parts.empty();) {
    const std::size_t done = read_some(fd, parts, on_interrupt);
    if (done == 0) break;
    total += done;
    skip(parts, done);
    if (!parts.empty() && on_interrupt != nullptr) on_interrupt();  // as in write_all()
  }
  return total;
}

void enlarge_pipe(int fd) noexcept {
  const int now = ::fcntl(fd, F_GETPIPE_SZ);
  if (now <= 0) return;
  std::array<char, 32> text{};
  const int file = ::open("/proc/sys/fs/pipe-max-size", O_RDONLY | O_CLOEXEC);
  const ssize_t length = file < 0 ? 0 : ::read(file, text.data(), text.size());
  if (file >= 0) ::close(file);
  int size = 0;
  std::from_chars(text.data(), text.data() + (length > 0 ? length : 0), size);
  // What all pipes of a user may hold together is limited, too: take what is left of it.
  while (size > now && ::fcntl(fd, F_SETPIPE_SZ, size) < 0) size /= 2;
}

}  // namespace shmlane::os
