// SPDX-License-Identifier: Apache-2.0
// Descriptors that cross between processes: Unix sockets in the abstract namespace, of which nothing remains after a death.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>

namespace shmlane::os::cuda {

// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  [[nodiscard]] int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_;
};

// One question that somebody asked, and who did.
class Question {
 public:
  explicit Question(Descriptor connection) noexcept : connection_(std::move(connection)) {}
  // What was asked, into `text`. False if it is of another length or does not come soon; of another user's process it is
  // to be there at once, so that nobody without rights keeps the others waiting.
  [[nodiscard]] bool read(std::span<std::byte> text) const noexcept;
  void answer(std::span<const std::byte> text, int descriptor) const noexcept;

 private:
  Descriptor connection_;
};

// Where questions come in. A forked child has no part in it.
class Listener {
 public:
  // Throws DeviceFailed.
  explicit Listener(const std::string& name);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener();
  // The next one; nothing after stop().
  [[nodiscard]] std::optional<Question> next() const noexcept;
  // Ends a next() of another thread, and all to come.
  void stop() const noexcept;

 private:
  Descriptor socket_;
};

// A thread on which no handler of a signal ever runs: those are for the program's own. Throws DeviceFailed.
std::thread start_without_signals(std::function<void()> work);

// Asks who listens under a name, and waits for an answer of just so many bytes and its descriptor. While it waits it calls
// `meanwhile` ten times a second, if that is not empty, which may throw. Throws DeviceFailed if nobody listens, nothing
// comes in time, or no answer is given.
Descriptor ask(const std::string& name, std::span<const std::byte> question, std::span<std::byte> answer,
               std::chrono::nanoseconds timeout, const std::function<void()>& meanwhile);

}  // namespace shmlane::os::cuda
