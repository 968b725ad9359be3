// SPDX-License-Identifier: Apache-2.0
// Holding one of the ring's two locks to the end of a scope.
#pragma once

#include "crash_point.hpp"
#include "ring.hpp"
#include "shmlane/error.hpp"

namespace shmlane {

// What lies under consumers_lock is repaired by whoever takes it from the dead; under producers_lock each single store
// leaves a valid ring, so there is nothing to repair.
class Ring::Guard {
 public:
  // Waits for the lock until the deadline; ask held(). Throws Evicted.
  Guard(Ring& ring, OwnerLock& lock, ParticipantId me, const os::Deadline& deadline) : lock_(lock) {
    if (!lock.try_lock_free(me)) [[unlikely]]
      settle(ring, lock.lock(me, deadline), me);
    if (held_ && !ring.participants_.owns_entry(me)) [[unlikely]] {
      lock_.unlock();
      throw Evicted("queue '" + ring.name_ +
                    "': the other participants took this handle for dead, because its file "
                    "descriptors were closed; open a new handle");
    }
  }
  // Does not wait.
  Guard(Ring& ring, OwnerLock& lock, ParticipantId me) : lock_(lock) { settle(ring, lock.try_lock(me), me); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  ~Guard() {
    if (held_) lock_.unlock();
  }
  [[nodiscard]] bool held() const noexcept { return held_; }

 private:
  void settle(Ring& ring, Locked result, ParticipantId me) {
    held_ = result != Locked::kNo;
    if (result != Locked::kFromDead) return;
    SHMLANE_CRASH_POINT("ring.recovered");
    atomic(ring.participants_.entry(id_index(me)).recovered).fetch_add(1, kRelaxed);
    if (&lock_ == &ring.consumers_) ring.reset_cursor(atomic(ring.control_.read.value).load(kAcquire));
  }

  OwnerLock& lock_;
  bool held_ = true;
};

}  // namespace shmlane
