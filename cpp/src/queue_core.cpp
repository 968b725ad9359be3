// SPDX-License-Identifier: Apache-2.0
// Waiting, reaping and leaving, the same for both ends of a queue.
#include "queue_core.hpp"

#include "crash_point.hpp"
#include "os/process.hpp"
#include "shmlane/error.hpp"
#include "shmlane/log.hpp"

namespace shmlane {
namespace {

constexpr std::int64_t kSpinNs = 30'000;  // about what it costs to be woken
constexpr std::int64_t kLongestSpinNs = 2'000'000;
constexpr int kCloseTries = 300;
constexpr std::int64_t kClosePause = 1'000'000;

AttachOptions attach_options(const QueueOptions& options, std::uint8_t role, ParticipantPolicy policy,
                             std::function<void(ParticipantId)> renewed) {
  return {.kind = wire::Kind::kQueue,
          .role = role,
          .body_size = options.capacity,
          .default_body_size = role == wire::kRoleProducer ? kDefaultCapacity : 0,
          .stale = options.stale,
          .mode = options.mode,
          .create = role != 0,
          .unlink = options.unlink,
          .policy = policy,
          .count_objects = count_objects,
          .renewed = std::move(renewed)};
}

}  // namespace

QueueCore::QueueCore(std::string_view name, const QueueOptions& options, std::uint8_t role, ParticipantPolicy policy)
    : interrupt_check_(options.interrupt_check),
      attachment_(name, attach_options(options, role, policy, [this](ParticipantId me) {
                    keep_for_the_inherited();
                    // What the parent's threads had under way is not under way in the child.
                    uses_.store(kUse, std::memory_order_relaxed);
                    counted_for_.store(me, std::memory_order_relaxed);
                    if (ring_) ring_->forget_holds();
                  })) {
  const ParticipantId me = attachment_.me();
  counted_for_.store(me, std::memory_order_relaxed);
  if (ring() != nullptr) reap_all(me, kLockPatience);
}

QueueCore::~QueueCore() { close(); }

void QueueCore::renew() {
  // A child must not become a participant by a handle that is closed: nothing would ever end that.
  if (closed()) throw_closed();
  static_cast<void>(attachment_.me());
}

void QueueCore::refuse(ParticipantId me) {
  finish(me, kCall + kUse);
  throw_closed();
}

void QueueCore::close() noexcept {
  if (closed_.exchange(true)) return;
  attachment_.drop_role();
  cancel_waits();
  exit(counted_for_.load(std::memory_order_relaxed));
  if (attachment_.inherited()) {
    keep_for_the_inherited();
    static_cast<void>(let_go());
    return;
  }
  for (int i = 0; i < kCloseTries && uses_.load() >= kCall; ++i) os::sleep_ns(kClosePause);
}

// Leases that a fork copied into the child point here, and nobody counts them: there the core stays to the end.
void QueueCore::keep_for_the_inherited() noexcept {
  if (static_cast<std::uint32_t>(uses_.load()) != kUse) keeps_itself_ = false;
}

std::shared_ptr<QueueCore> QueueCore::let_go() noexcept {
  return keeps_itself_.exchange(false) ? std::move(itself_) : nullptr;
}

void QueueCore::leave() noexcept {
  const std::shared_ptr<QueueCore> last = let_go();
  attachment_.leave([this] {
    if (ring() == nullptr) return true;
    const ParticipantId me = counted_for_.load(std::memory_order_relaxed);
    reap_all(me, kLockPatience);
    if (!ring()->give_back_all(me, os::Deadline(kLockPatience))) {
      throw TimedOut("a lock of the ring was not to be had: " + ring()->obstacle());
    }
    // Looked at without a lock: others would move the frames meanwhile. It matters only if there are none.
    return !participants().anyone_alive_but(me) && ring()->empty();
  });
}

void QueueCore::cancel_waits() noexcept {
  cancellations_.fetch_add(1);
  if (!attachment_.inherited()) attachment_.wake_everybody();
}

void QueueCore::throw_closed() const {
  throw Closed("the handle of queue '" + attachment_.name() + "' is closed; open a new Producer or Consumer");
}

Ring* QueueCore::find_ring() {
  Segment& segment = attachment_.segment();
  if (segment.state() == wire::SegmentState::kHeader) return nullptr;
  const std::lock_guard guard(attachment_.mutex());
  if (ring_) return &*ring_;
  if (!segment.map_body()) return nullptr;
  ring_.emplace(segment.header(), segment.control(), segment.body(), segment.capacity(), participants(),
                segment.name());
  ring_pointer_.store(&*ring_, std::memory_order_release);
  return &*ring_;
}

void QueueCore::reap_now_and_then(ParticipantId me, std::chrono::nanoseconds patience) {
  const std::int64_t now = os::monotonic_ns();
  if (now - reaped_at_.load(std::memory_order_relaxed) < kSliceNs) return;
  if (!participants().can_ask()) {
    throw Evicted("queue '" + attachment_.name() +
                  "': this handle's file descriptors were closed, so the others take it for dead; open a new handle");
  }
  reap_all(me, patience);
}

void QueueCore::reap_all(ParticipantId me, std::chrono::nanoseconds patience) {
  reaped_at_.store(os::monotonic_ns(), std::memory_order_relaxed);
  Ring* const ring = this->ring();
  if (ring == nullptr) return;
  for (unsigned from = 0;;) {
    const std::optional<ParticipantId> dead = participants().find_dead(me, from);
    if (!dead) return;
    const std::string who = participants().describe(*dead);
    if (ring->reap(me, *dead, os::Deadline(patience))) {
      log(LogLevel::kInfo, "queue '" + attachment_.name() + "': " + who + " died; what it held was settled");
      attachment_.wake_everybody();
    }
    from = id_index(*dead) + 1;
  }
}

std::int64_t QueueCore::spin_ns() const noexcept {
  static const unsigned cores = os::online_cores();
  // With fewer cores than participants a spinner keeps off the very one it waits for.
  return cores > 1 && participants().used() <= cores ? kSpinNs : 0;
}

void QueueCore::check_interrupts() const {
  if (closed()) throw_closed();
  if (interrupt_check_ != nullptr) interrupt_check_();
}

QueueCore::Waited QueueCore::wait_until(WaitPlace& place, const os::Deadline& deadline, FunctionRef<bool()> hint,
                                        FunctionRef<bool()> attempt, FunctionRef<std::uint64_t()> in_work, int pauses) {
  const std::uint32_t cancellations = cancellations_.load();
  if (const std::int64_t spin = spin_ns(); spin != 0) {
    const std::int64_t begin = os::monotonic_ns();
    do {
      for (int i = 0; i < 50 && !hint(); i += pauses) {
        for (int pause = 0; pause < pauses; ++pause) cpu_pause();
      }
      if (hint() && attempt()) return Waited::kDone;
      if (deadline.passed()) return Waited::kTimedOut;
    } while (os::monotonic_ns() - begin < spin + std::min(static_cast<std::int64_t>(in_work() / 4), kLongestSpinNs));
  }

  WaitPlace::Sleeper sleeper(place);
  SHMLANE_CRASH_POINT("queue.waits");
  atomic(participants().entry(id_index(attachment_.me())).waits).fetch_add(1, kRelaxed);
  for (;;) {
    sleeper.announce();
    if (attempt()) return Waited::kDone;
    if (cancellations_.load() != cancellations && !closed()) return Waited::kCancelled;
    check_interrupts();
    if (deadline.passed()) return Waited::kTimedOut;
    if (sleeper.sleep(deadline.slice_end(kSliceNs)) == os::SemaphoreWait::kTimedOut) {
      reap_now_and_then(attachment_.me(), kLockPatience);
    }
  }
}

QueueStat QueueCore::stat() { return queue_stat(participants(), ring()); }

std::uint64_t count_objects(Segment& segment) {
  const Participants none(segment.header(), segment.table(), -1);
  const Ring ring(segment.header(), segment.control(), segment.body(), segment.capacity(), none, segment.name());
  std::uint64_t count = 0;
  ring.walk_all([&](Position, Control control, wire::FrameHeader&) {
    count += control.state == wire::FrameState::kReady || control.state == wire::FrameState::kLeased;
    return true;
  });
  return count;
}

Counters entry_counters(wire::ParticipantEntry& entry) noexcept {
  const auto read = [](std::uint64_t& counter) { return atomic(counter).load(kRelaxed); };
  // Aborted first: what is aborted later was pushed before, so that the difference is never negative.
  const std::uint64_t aborted = read(entry.aborted);
  return {.pushed = read(entry.pushed) - aborted,
          .pushed_bytes = read(entry.pushed_bytes),
          .aborted = aborted,
          .popped = read(entry.popped),
          .popped_bytes = read(entry.popped_bytes),
          .dropped = read(entry.dropped),
          .redelivered = read(entry.redelivered),
          .waits = read(entry.waits),
          .recovered = read(entry.recovered)};
}

QueueStat queue_stat(const Participants& table, const Ring* ring) {
  QueueStat stat;
  for (unsigned index = 0; index < table.used(); ++index) {
    const Counters one = entry_counters(table.entry(index));
    for (const auto counter :
         {&Counters::pushed, &Counters::pushed_bytes, &Counters::aborted, &Counters::popped, &Counters::popped_bytes,
          &Counters::dropped, &Counters::redelivered, &Counters::waits, &Counters::recovered}) {
      stat.*counter += one.*counter;
    }
  }
  stat.producers = table.count(wire::kRoleProducer);
  stat.consumers = table.count(wire::kRoleConsumer);
  if (ring != nullptr) {
    stat.capacity = ring->capacity();
    stat.used = ring->contents().bytes;
  }
  return stat;
}

}  // namespace shmlane
