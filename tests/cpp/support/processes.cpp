// SPDX-License-Identifier: Apache-2.0
// Children by fork, their messages through a pipe.
#include "support/processes.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <utility>

namespace processes {
namespace {

void tell(int fd, const char* text) noexcept {
  for (std::size_t rest = std::strlen(text); rest > 0;) {
    const ssize_t written = ::write(fd, text, rest);
    if (written <= 0) return;
    text += written;
    rest -= static_cast<std::size_t>(written);
  }
}

[[noreturn]] void run(const std::function<void()>& work, int messages) noexcept {
  int status = 1;
  try {
    work();
    status = 0;
  } catch (const std::exception& error) {
    tell(messages, error.what());
  } catch (...) {
    tell(messages, "something that is no std::exception was thrown");
  }
  ::_exit(status);
}

std::string describe(int status) {
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    return number == SIGALRM ? "the watchdog bit" : "died of signal " + std::to_string(number);
  }
  return WEXITSTATUS(status) == 0 ? "" : "ended with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

Child::Child(const std::function<void()>& work, unsigned watchdog_seconds) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
  std::fflush(nullptr);
  pid_ = ::fork();
  if (pid_ == 0) {
    ::close(ends[0]);
    ::signal(SIGALRM, SIG_DFL);
    ::alarm(watchdog_seconds);
    run(work, ends[1]);
  }
  ::close(ends[1]);
  messages_ = ends[0];
  // What a child told is in the pipe when it is gone; its own children may hold the other end for longer.
  ::fcntl(messages_, F_SETFL, O_NONBLOCK);
  if (pid_ < 0) throw std::runtime_error("fork failed");
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), messages_(std::exchange(other.messages_, -1)) {}

Child::~Child() {
  kill();
  if (messages_ >= 0) ::close(messages_);
}

void Child::signal(int number) const noexcept {
  if (pid_ > 0) ::kill(pid_, number);
}

void Child::kill() {
  signal(SIGKILL);
  static_cast<void>(reap());
}

int Child::reap() noexcept {
  if (pid_ < 0) return 0;
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

std::string Child::join() {
  const std::string end = describe(reap());
  std::string message;
  char piece[512];
  while (!end.empty()) {
    const ssize_t count = ::read(messages_, piece, sizeof piece);
    if (count <= 0) break;
    message.append(piece, static_cast<std::size_t>(count));
  }
  return message.empty() ? end : message;
}

std::string run_in_child(const std::function<void()>& work, unsigned watchdog_seconds) {
  return Child(work, watchdog_seconds).join();
}

std::string join_all(std::vector<Child>& children) {
  std::string all;
  for (Child& child : children) {
    const std::string outcome = child.join();
    if (!outcome.empty()) all += (all.empty() ? "" : "; ") + outcome;
  }
  return all;
}

namespace {

std::string state_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(") ");
  return name_end != line.npos ? line.substr(name_end + 2, 1) : "";
}

}  // namespace

bool sleeps(pid_t pid) { return state_of(pid) == "S"; }
bool stopped(pid_t pid) { return state_of(pid) == "T"; }

}  // namespace processes
