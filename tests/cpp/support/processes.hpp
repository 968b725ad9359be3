// SPDX-License-Identifier: Apache-2.0
// Work in child processes, each under its own watchdog, and memory that parent and children share.
#pragma once

#include <sys/mman.h>
#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

namespace processes {

// Ends a child's work with that message; children cannot use doctest's macros.
inline void expect(bool right, const std::string& what) {
  if (!right) throw std::runtime_error(what);
}

// A forked child that runs `work` and ends without running destructors of what it inherited.
class Child {
 public:
  explicit Child(const std::function<void()>& work, unsigned watchdog_seconds = 40);
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  ~Child();

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  void signal(int number) const noexcept;
  // SIGKILL, and waits until it is gone.
  void kill();
  // "" if the work came to its end, else what it threw or how it died.
  [[nodiscard]] std::string join();

 private:
  [[nodiscard]] int reap() noexcept;
  pid_t pid_ = -1;
  int messages_ = -1;
};

// The outcome of `work` in one child.
std::string run_in_child(const std::function<void()>& work, unsigned watchdog_seconds = 40);
// All outcomes, joined, "" if all came to their end.
std::string join_all(std::vector<Child>& children);
// Whether the process sleeps, by /proc: for a child that shall be blocked before the test goes on.
bool sleeps(pid_t pid);
// Whether it is stopped by a signal.
bool stopped(pid_t pid);

// Polls until it holds; the caller's watchdog ends what never comes.
template <class Condition>
void wait_until(Condition&& condition) {
  while (!condition()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

// A T in memory that this process shares with the children it forks from now on.
template <class T>
class Shared {
 public:
  Shared() {
    static_assert(std::is_trivially_destructible_v<T>);
    void* memory = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
    object_ = new (memory) T();
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { ::munmap(object_, sizeof(T)); }
  T* operator->() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }

 private:
  T* object_;
};

}  // namespace processes
