// SPDX-License-Identifier: Apache-2.0
// Read and write locks of a tensor.
#include "tensor_core.hpp"

#include "crash_point.hpp"
#include "os/barrier.hpp"
#include "shmlane/error.hpp"
#include "waiting.hpp"

namespace shmlane {
namespace {
constexpr int kSpins = 200;
constexpr std::int64_t kStoresArrive = 20'000'000;  // far longer than a store stays in a processor's buffer
}  // namespace

TensorCore::TensorCore(std::string_view name, const std::optional<ArrayFacts>& array, const TensorOptions& options,
                       const Fill& fill)
    : ArrayCore(name, array,
                {.kind = wire::Kind::kTensor,
                 .mode = options.mode,
                 .owned = options.auto_unlink,
                 .write_body = options.writable,
                 .interrupt_check = options.interrupt_check},
                fill),
      writable_(options.writable) {}

// ---- Reading -------------------------------------------------------------------------------------------------------

bool TensorCore::enter_busy(ParticipantId me) noexcept {
  SHMLANE_CRASH_POINT("read_lock.enter");
  atomic(busy(me)).fetch_add(1, kRelaxed);
  if ((atomic(const_cast<std::uint32_t&>(flags())).load(kRelaxed) & wire::kFlagFullFence) != 0) {
    os::full_fence();
  } else {
    // The processor's part of this fence is the writer's membarrier.
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  // Pairs with the release in the writer's unlock().
  if (atomic(segment().tensor_control().write_lock).load(kAcquire) == 0) return true;
  leave_busy(me);
  return false;
}

void TensorCore::leave_busy(ParticipantId me) noexcept {
  SHMLANE_CRASH_POINT("read_lock.leave");
  // Pairs with the acquire in anybody_reads().
  atomic(busy(me)).fetch_sub(1, kRelease);
  write_lock().bell().ring();
}

bool TensorCore::wait_to_read(ParticipantId me, const os::Deadline& deadline) {
  for (;;) {
    const os::FutexWord heard = write_lock().bell().listen();
    const ParticipantId holder = write_lock().holder();
    if (holder == 0) {  // looked at first: who tries in vain rings the bell that it is about to sleep on
      if (enter_busy(me)) return true;
      continue;
    }
    if (!participants().alive(holder, me)) {
      // Takes the dead one's lock and gives it back.
      const ParticipantId taken = lock(os::Deadline(std::chrono::nanoseconds(0)));
      if (taken != 0) unlock(taken);
      continue;
    }
    check_wait();
    if (deadline.passed()) return false;
    Bell::sleep(heard, deadline.slice_end(kSliceNs));
  }
}

bool TensorCore::lock_shared(const os::Deadline& deadline) {
  if (locked_here()) throw InvalidArgument(title() + ": this thread holds the write lock, and needs no other");
  require_usable();
  const ParticipantId me = enter();
  bool inside = false;
  try {
    inside = enter_busy(me) || wait_to_read(me, deadline);
  } catch (...) {
    finish(me);
    throw;
  }
  if (!inside) finish(me);
  if (inside) reading_.fetch_add(1);
  return inside;
}

void TensorCore::unlock_shared() {
  const ParticipantId me = participant();
  std::uint32_t held = owns(me) ? reading_.load() : 0;
  do {
    if (held == 0) throw_unlocked();
  } while (!reading_.compare_exchange_weak(held, held - 1));
  leave_busy(me);
  finish(me);
}

// ---- Writing -------------------------------------------------------------------------------------------------------

bool TensorCore::anybody_reads(ParticipantId me) const noexcept {
  for (unsigned index = 0, end = participants().used(); index < end; ++index) {
    // Pairs with the release in leave_busy().
    if (atomic(participants().entry(index).consumers_busy).load(kAcquire) == 0) continue;
    if (participants().alive(make_id(index, participants().word(index).generation), me)) return true;
  }
  return false;
}

bool TensorCore::wait_for_readers(ParticipantId me, const os::Deadline& deadline) {
  if (!os::impose_barrier()) os::sleep_ns(kStoresArrive);
  for (int spin = 0; spin < kSpins; ++spin) {
    if (!anybody_reads(me)) return true;
    cpu_pause();
  }
  for (;;) {
    const os::FutexWord heard = write_lock().bell().listen();
    if (!anybody_reads(me)) return true;
    check_wait();
    if (deadline.passed()) return false;
    Bell::sleep(heard, deadline.slice_end(kSliceNs));
  }
}

bool TensorCore::lock_all(const os::Deadline& deadline) {
  const bool again = locked_here();
  const ParticipantId me = lock(deadline);
  if (me == 0 || again) return me != 0;
  bool alone = false;
  try {
    alone = wait_for_readers(me, deadline);
  } catch (...) {
    unlock(me);
    throw;
  }
  if (!alone) unlock(me);
  return alone;
}

}  // namespace shmlane
