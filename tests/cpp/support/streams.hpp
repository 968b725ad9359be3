// SPDX-License-Identifier: Apache-2.0
// Descriptors and frames for tests of the stdio transport.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "shmlane/frame.hpp"
#include "shmlane/object.hpp"

inline constexpr std::string_view kBytesMetadata = R"({"type":"bytes"})";

// Both ends of a pipe or a pair of sockets.
class Ends {
 public:
  static Ends pipe(int flags = 0) {
    Ends ends;
    REQUIRE(::pipe2(ends.fds_, O_CLOEXEC | flags) == 0);
    return ends;
  }
  static Ends sockets() {
    Ends ends;
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.fds_) == 0);
    return ends;
  }
  Ends(Ends&& other) noexcept : fds_{std::exchange(other.fds_[0], -1), std::exchange(other.fds_[1], -1)} {}
  Ends& operator=(Ends&&) = delete;
  ~Ends() {
    close_in();
    close_out();
  }
  [[nodiscard]] int in() const noexcept { return fds_[0]; }
  [[nodiscard]] int out() const noexcept { return fds_[1]; }
  void close_in() noexcept { close_one(fds_[0]); }
  void close_out() noexcept { close_one(fds_[1]); }

 private:
  Ends() = default;
  static void close_one(int& fd) noexcept {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  int fds_[2] = {-1, -1};
};

inline std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7 + i / 251);
  return bytes;
}

inline shmlane::FrameView frame_of(std::string_view payload) {
  return {kBytesMetadata, std::as_bytes(std::span(payload))};
}

inline std::string_view text(const shmlane::Object& object) {
  return {reinterpret_cast<const char*>(object.payload().data()), object.payload().size()};
}
