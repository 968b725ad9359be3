// SPDX-License-Identifier: Apache-2.0
// The write lock of a stream or a tensor: an owner-word lock that its thread may take again, and whose waiters sleep on a
// bell (SPEC 11.2).
#pragma once

#include <atomic>
#include <string>

#include "bell.hpp"
#include "function_ref.hpp"
#include "lock.hpp"

namespace shmlane {

// One handle's side of it. Thread-safe: it excludes the threads of this handle, too.
class WriteLock {
 public:
  WriteLock(std::uint64_t& word, Bell bell, const std::uint32_t& flags, const Participants& participants,
            std::string name)
      : word_(&word),
        lock_(word, &wire::ParticipantEntry::producers_busy, flags, participants),
        bell_(bell),
        participants_(participants),
        name_(std::move(name)) {}

  // Without waiting and without taking it from the dead; false, and nothing done, where that is not enough.
  bool lock_at_once(ParticipantId me) noexcept {
    if (held_here()) {
      ++depth_;
      return true;
    }
    if (!lock_.try_lock_free(me)) [[unlikely]]
      return false;
    if (!participants_.owns_entry(me)) [[unlikely]] {
      lock_.unlock();
      return false;
    }
    thread_.store(this_thread(), std::memory_order_relaxed);
    depth_ = 1;
    return true;
  }
  // False when the deadline passed. `check` is called before and between waits; what it throws ends them. Throws Evicted.
  bool lock(ParticipantId me, const os::Deadline& deadline, FunctionRef<void()> check) {
    if (lock_at_once(me)) return true;
    if (!wait(me, deadline, check)) return false;
    if (!participants_.owns_entry(me)) throw_evicted(me);
    thread_.store(this_thread(), std::memory_order_relaxed);
    depth_ = 1;
    return true;
  }
  // By the thread that holds it; true if that was the last time it has to.
  bool unlock(ParticipantId me) noexcept {
    if (--depth_ != 0) return false;
    thread_.store(nullptr, std::memory_order_relaxed);
    if (still(me)) [[likely]]
      lock_.unlock();  // else one was evicted, and it is another's
    bell_.ring();
    return true;
  }
  // Whether this thread holds it by this handle.
  [[nodiscard]] bool held_here() const noexcept { return thread_.load(std::memory_order_relaxed) == this_thread(); }
  // Whether the word still names this participant: not once it was evicted.
  [[nodiscard]] bool still(ParticipantId me) const noexcept { return lock_.holder() == me; }
  [[nodiscard]] ParticipantId holder() const noexcept { return lock_.holder(); }
  [[nodiscard]] Bell& bell() noexcept { return bell_; }

  // In a forked child, where the parent's threads and their holds are not.
  void forget() noexcept {
    thread_.store(nullptr, std::memory_order_relaxed);
    depth_ = 0;
    lock_.forget();
  }

 private:
  [[nodiscard]] static const void* this_thread() noexcept { return __builtin_thread_pointer(); }
  [[noreturn]] void throw_evicted(ParticipantId me);
  bool wait(ParticipantId me, const os::Deadline& deadline, FunctionRef<void()> check);

  std::uint64_t* word_;
  OwnerLock lock_;
  Bell bell_;
  Participants participants_;
  std::string name_;
  std::atomic<const void*> thread_{nullptr};
  unsigned depth_ = 0;  // of thread_ alone
};

}  // namespace shmlane
