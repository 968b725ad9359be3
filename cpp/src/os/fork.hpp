// SPDX-License-Identifier: Apache-2.0
// Tells objects that hold kernel state of their own that they now live in a forked child.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

namespace shmlane::os {

// Grows in the child of every fork; an object that remembers another value belongs to an ancestor.
inline std::atomic<std::uint32_t> forks{0};
inline std::uint32_t fork_count() noexcept { return forks.load(std::memory_order_relaxed); }

// Base of objects that must act in the child before anything else runs there.
class ForkAware {
 public:
  ForkAware(const ForkAware&) = delete;
  ForkAware& operator=(const ForkAware&) = delete;

 protected:
  ForkAware() = default;
  ~ForkAware() = default;
  // From the end of the derived constructor to the beginning of its destructor.
  void watch_forks();
  void ignore_forks() noexcept;
  // Held by whoever forks while it forks, so that the child finds it free and what it guards whole.
  std::mutex fork_safe_;

 private:
  friend struct ForkHandlers;
  // Runs in the child while only one thread exists; async-signal-safe calls only.
  virtual void in_forked_child() noexcept = 0;
  ForkAware* previous_ = nullptr;
  ForkAware* next_ = nullptr;
};

}  // namespace shmlane::os
