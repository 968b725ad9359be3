// SPDX-License-Identifier: Apache-2.0
// Writing and waiting; the numbers refer to the steps in stream_core.hpp.
#include "stream_core.hpp"

#include <algorithm>

#include "crash_point.hpp"
#include "os/process.hpp"
#include "shmlane/error.hpp"
#include "waiting.hpp"

namespace shmlane {
namespace {

constexpr std::int64_t kSpinNs = 30'000;  // about what it costs to be woken
constexpr std::chrono::nanoseconds kReadersPatience = std::chrono::milliseconds(10);
constexpr std::uint64_t kNeverPastTheCache = 16 * 1024;  // bytes; no memcpy uses non-temporal stores for less

}  // namespace

StreamCore::StreamCore(std::string_view name, const std::optional<ArrayFacts>& array, const StreamOptions& options)
    : ArrayCore(name, array,
                {.kind = wire::Kind::kStream,
                 .mode = options.mode,
                 .owned = options.auto_unlink,
                 .interrupt_check = options.interrupt_check}),
      spin_(options.spin),
      value_bell_(control().value_bell.value, flags()) {
  last_read_.store(published().count, std::memory_order_relaxed);
}

// ---- Reading -------------------------------------------------------------------------------------------------------

// Step 5. If the lock is not to be had, its holder is stopped, or writes slowly enough to be outrun.
std::uint64_t StreamCore::read_under_lock(std::byte* out) {
  for (;;) {
    const ParticipantId me = lock(os::Deadline(kReadersPatience));
    const Published from = published();
    shared_copy(out, slot(from.slot), array().nbytes);
    const bool whole = !reused(from);
    if (me != 0) unlock(me);
    if (whole) return note_read(from.count);
    check_wait();
  }
}

std::int64_t StreamCore::spin_ns() const noexcept {
  if (spin_) return spin_->count();
  static const unsigned cores = os::online_cores();
  // With fewer cores than participants a spinner keeps off the very one it waits for.
  return cores > 1 && participants().used() <= cores ? kSpinNs : 0;
}

bool StreamCore::wait_after(std::uint64_t count, const os::Deadline& deadline) {
  require_usable();
  if (published().count > count) return true;
  if (deadline.passed()) return false;
  const std::uint32_t cancellations = this->cancellations();
  if (const std::int64_t spin = spin_ns(); spin > 0) {
    const std::int64_t end = deadline.slice_end(spin);
    do {
      for (int i = 0; i < 100; ++i) {
        if (published().count > count) return true;
        cpu_pause();
      }
    } while (os::monotonic_ns() < end);
  }
  atomic(participants().entry(id_index(participant())).waits).fetch_add(1, kRelaxed);
  for (;;) {
    const os::FutexWord heard = value_bell_.listen();
    if (published().count > count) return true;
    check_wait();
    if (cancelled_since(cancellations) || deadline.passed()) return false;
    Bell::sleep(heard, deadline.slice_end(kSliceNs));
  }
}

StreamStat StreamCore::stat() {
  require_usable();
  const Participants& table = participants();
  wire::StreamControl& words = control();
  StreamStat stat;
  const std::uint64_t writing = atomic(words.writing).load(kAcquire);
  stat.count = published().count;
  stat.write_sequence = writing > stat.count ? 2 * writing - 1 : 2 * stat.count;
  stat.write_time_ns = atomic(words.written_ns).load(kRelaxed);
  if (stat.write_time_ns != 0) stat.age_ns = std::max(os::unix_time_ns(), stat.write_time_ns) - stat.write_time_ns;
  const ParticipantId writer = atomic(words.writer).load(kRelaxed);
  if (writer != 0 && id_index(writer) < wire::kMaxParticipants && table.owns_entry(writer)) {
    stat.writer_pid = table.entry(id_index(writer)).pid;
    stat.writer_alive = table.alive(writer, participant());
  }
  return stat;
}

// ---- Writing -------------------------------------------------------------------------------------------------------

std::byte* StreamCore::begin_write() {
  require_usable();
  if (write_open_.load(std::memory_order_relaxed)) {
    throw InvalidArgument(title() + ": this thread has a write view open; end that first");
  }
  const Published now = published();
  const std::uint32_t after = now.slot + 1;
  next_ = {now.count + 1, after == array().slots ? 0 : after};
  SHMLANE_CRASH_POINT("stream.writing");
  atomic(control().writing).store(next_.count, kRelaxed);
#if !defined(SHMLANE_TSAN)
  // Whoever sees a byte of this write sees the count before it, too: pairs with the fence in reused(). Stores that go
  // past the cache, as a large memcpy's do, heed only a full fence on x86. Two calls, for a fence of an order that the
  // compiler does not know is a full one.
  if (array().nbytes < kNeverPastTheCache) {
    std::atomic_thread_fence(std::memory_order_release);
  } else {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
#endif
  write_open_.store(true, std::memory_order_relaxed);
  SHMLANE_CRASH_POINT("stream.fill");
  return slot(next_.slot);
}

std::uint64_t StreamCore::publish(ParticipantId me) {
  if (segment().state() == wire::SegmentState::kRemoved || !write_lock().still(me)) [[unlikely]] {
    cancel_write();
    require_usable();
    throw Evicted(title() + ": the other participants took this handle for dead; open a new handle");
  }
  write_open_.store(false, std::memory_order_relaxed);
  wire::StreamControl& words = control();
  SHMLANE_CRASH_POINT("stream.writer");
  atomic(words.writer).store(me, kRelaxed);
  SHMLANE_CRASH_POINT("stream.written");
  atomic(words.written_ns).store(os::unix_time_ns(), kRelaxed);
  SHMLANE_CRASH_POINT("stream.publish");
  atomic(words.published.value).store(next_.pack(), kRelease);
  SHMLANE_CRASH_POINT("stream.published");
  value_bell_.ring();
  return next_.count;
}

void StreamCore::cancel_write() noexcept {
  if (!write_open_.load(std::memory_order_relaxed)) return;
  write_open_.store(false, std::memory_order_relaxed);
  SHMLANE_CRASH_POINT("stream.cancel");
  atomic(control().writing).store(next_.count - 1, kRelaxed);
}

void StreamCore::throw_corrupt() const {
  throw Corrupt("the " + title() + " names a slot that it does not have; remove it with: shmlane rm --force " + name());
}

}  // namespace shmlane
