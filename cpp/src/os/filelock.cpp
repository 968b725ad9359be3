// SPDX-License-Identifier: Apache-2.0
// Byte locks by fcntl.
#include "os/filelock.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "shmlane/error.hpp"

namespace shmlane::os {
namespace {

int lock_call(int fd, int command, short type, std::uint64_t byte, struct flock& request) noexcept {
  request = {};
  request.l_type = type;
  request.l_whence = SEEK_SET;
  request.l_start = static_cast<off_t>(byte);
  request.l_len = 1;
  int result = 0;
  do {
    result = ::fcntl(fd, command, &request);
  } while (result != 0 && errno == EINTR);
  return result;
}

}  // namespace

KnownFile::KnownFile(int fd) noexcept : fd_(fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return;
  device_ = status.st_dev;
  inode_ = status.st_ino;
}

bool KnownFile::intact() const noexcept {
  struct stat status {};
  return ::fstat(fd_, &status) == 0 && status.st_dev == device_ && status.st_ino == inode_;
}

bool try_lock_byte(int fd, std::uint64_t byte) {
  struct flock request {};
  if (lock_call(fd, F_OFD_SETLK, F_WRLCK, byte, request) == 0) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  throw SystemError(std::string("cannot lock a byte of a segment's file: ") + std::strerror(errno));
}

void unlock_byte(int fd, std::uint64_t byte) noexcept {
  struct flock request {};
  lock_call(fd, F_OFD_SETLK, F_UNLCK, byte, request);
}

bool byte_locked_elsewhere(int fd, std::uint64_t byte) noexcept {
  struct flock request {};
  // A failing query says nothing about the holder; to call it alive is the error that can be mended later.
  return lock_call(fd, F_OFD_GETLK, F_WRLCK, byte, request) != 0 || request.l_type != F_UNLCK;
}

}  // namespace shmlane::os
