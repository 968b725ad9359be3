// SPDX-License-Identifier: Apache-2.0
// The plain framing over descriptors that everybody writes: the length in 8 bytes, then the payload.
#pragma once

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "peer.hpp"

namespace bench {

inline void write_framed(int fd, std::span<const std::byte> payload) {
  std::uint64_t size = payload.size();
  iovec parts[2] = {{&size, sizeof size}, {const_cast<std::byte*>(payload.data()), payload.size()}};
  for (std::size_t done = 0; done < sizeof size + payload.size();) {
    const ssize_t written =
        done < sizeof size ? ::writev(fd, parts, 2) : ::write(fd, parts[1].iov_base, parts[1].iov_len);
    if (written <= 0) throw std::runtime_error(std::strerror(errno));
    done += static_cast<std::size_t>(written);
    if (done < sizeof size) throw std::runtime_error("the length was torn");
    parts[1] = {const_cast<std::byte*>(payload.data()) + (done - sizeof size), payload.size() - (done - sizeof size)};
  }
}

// Reads as much as there is, and gives frames out where they lie; what is cut off at the end moves to the front.
class FramedReader {
 public:
  FramedReader(std::size_t largest, bool spin)
      : buffer_(std::max<std::size_t>(largest + sizeof(std::uint64_t), std::size_t{1} << 20)), spin_(spin) {}
  std::span<const std::byte> next(int fd) {
    if (end_ - begin_ < sizeof(std::uint64_t)) fill(fd, sizeof(std::uint64_t));
    std::uint64_t size = 0;
    std::memcpy(&size, buffer_.data() + begin_, sizeof size);
    if (end_ - begin_ < sizeof size + size) fill(fd, sizeof size + size);
    const std::span<const std::byte> payload(buffer_.data() + begin_ + sizeof size, size);
    begin_ += sizeof size + size;
    return payload;
  }

 private:
  void fill(int fd, std::size_t wanted) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    while (end_ < wanted) {
      const ssize_t got = ::read(fd, buffer_.data() + end_, buffer_.size() - end_);
      if (got < 0 && errno == EAGAIN && spin_) continue;
      if (got <= 0) throw std::runtime_error("the stream ended");
      end_ += static_cast<std::size_t>(got);
    }
  }

  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  bool spin_;
};

// A named pipe with the largest buffer that an ordinary user may have; open at both ends, so that nobody waits for it.
class NamedPipe {
 public:
  explicit NamedPipe(const Setup& setup, int flags = 0) : fd_(::open(path(setup).c_str(), O_RDWR | O_CLOEXEC | flags)) {
    if (fd_ < 0) throw std::runtime_error("cannot open " + path(setup));
    ::fcntl(fd_, F_SETPIPE_SZ, 1 << 20);
  }
  NamedPipe(const NamedPipe&) = delete;
  NamedPipe& operator=(const NamedPipe&) = delete;
  ~NamedPipe() { ::close(fd_); }
  [[nodiscard]] int fd() const noexcept { return fd_; }
  static std::string path(const Setup& setup) { return "/dev/shm/" + setup.name + ".fifo"; }

 private:
  int fd_;
};

}  // namespace bench
