// SPDX-License-Identifier: Apache-2.0
// Waiting for a write lock.
#include "write_lock.hpp"

#include "crash_point.hpp"
#include "shmlane/error.hpp"
#include "waiting.hpp"

namespace shmlane {
namespace {
constexpr int kSpins = 200;
}  // namespace

bool WriteLock::wait(ParticipantId me, const os::Deadline& deadline, FunctionRef<void()> check) {
  const auto taken = [&](Locked result) {
    if (result == Locked::kFromDead) {
      SHMLANE_CRASH_POINT("write_lock.recovered");
      atomic(participants_.entry(id_index(me)).recovered).fetch_add(1, kRelaxed);
    }
    return result != Locked::kNo;
  };
  if (deadline.immediate()) return taken(lock_.try_lock(me));
  bool slept = false;
  for (;;) {
    for (int spin = 0; spin < kSpins; ++spin) {
      if (atomic(*word_).load(kRelaxed) == 0 && lock_.try_lock_free(me)) return true;
      cpu_pause();
    }
    const os::FutexWord heard = bell_.listen();
    if (taken(lock_.try_lock(me))) return true;
    check();
    if (deadline.passed()) return false;
    if (!slept) {
      atomic(participants_.entry(id_index(me)).waits).fetch_add(1, kRelaxed);
      slept = true;
    }
    Bell::sleep(heard, deadline.slice_end(kSliceNs));
  }
}

void WriteLock::throw_evicted(ParticipantId me) {
  if (still(me)) lock_.unlock();
  throw Evicted("'" + name_ +
                "': the other participants took this handle for dead, because its file descriptors were closed; open a "
                "new handle");
}

}  // namespace shmlane
