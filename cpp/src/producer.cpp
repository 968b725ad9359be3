// SPDX-License-Identifier: Apache-2.0
// The producing end: waiting for consumers and for room, policies, batches.
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "crash_point.hpp"
#include "frame_access.hpp"
#include "past_caches.hpp"
#include "queue_core.hpp"
#include "ring_ordinary.hpp"
#include "ring_window.hpp"
#include "shmlane/error.hpp"
#include "shmlane/queue.hpp"
#include "write_way.hpp"

namespace shmlane {
namespace {

constexpr std::chrono::nanoseconds kLockSlice{kSliceNs};
constexpr std::size_t kBatch = 64;  // frames reserved under one lock
constexpr int kPausesForRoom = 64;  // between looks, which would delay the consumer's next store
constexpr int kPausesForWindow = 16;
constexpr std::int64_t kWindowNs = 2'000;
constexpr std::size_t kPastCaches = 1024;  // bytes of a payload
constexpr std::uint64_t kBytesPerNs = 4;   // of a consumer that does little but read, and from cold memory
// More is not worth the wait, which is a spin: this takes 16 ms at most.
constexpr std::uint64_t kMostBacklog = std::uint64_t{64} << 20;

std::string text_of(std::uint64_t bytes) { return std::to_string(bytes) + " bytes"; }

// Something to be tried each time, or, after failures, once in 2, 4, ... up to 64 times.
class Backoff {
 public:
  [[nodiscard]] bool due() noexcept { return (tries_.fetch_add(1, kRelaxed) & mask_.load(kRelaxed)) == 0; }
  void note(bool success) noexcept {
    mask_.store(success ? 0 : std::min(2 * mask_.load(kRelaxed) + 1, kRarest - 1), kRelaxed);
  }

 private:
  static constexpr unsigned kRarest = 64;
  std::atomic<unsigned> tries_{0}, mask_{0};
};

struct ProducerCore final : QueueCore {
  ProducerCore(std::string_view name, const ProducerOptions& options, std::optional<WriteWay> asked)
      : QueueCore(name, options, wire::kRoleProducer, {}),
        policy(options.policy),
        wait_for_consumer(options.wait_for_consumer),
        limits{.max_objects = options.max_objects, .drop_oldest = options.policy == Policy::kDropOldest},
        way(asked) {
    served = !wait_for_consumer;
    ordinary = served && limits.max_objects == 0;
    if (ring() == nullptr) throw Corrupt("queue '" + attachment().name() + "' has no ring; remove it with: shmlane rm");
  }

  Policy policy;
  Timeout wait_for_consumer;
  Limits limits;
  std::atomic<bool> served{false};       // a consumer was there once, or need not be
  std::atomic<bool> ordinary{false};     // served, and nothing limits a push but room
  std::atomic<std::uint64_t> wanted{0};  // bytes that the last push found no room for
  Backoff window_waits;
  std::atomic<bool> backlog{false};  // more may wait in the ring than the first window to come leaves there
  QuickestWay way;
};

[[noreturn, gnu::cold]] void throw_moved_from() {
  throw Closed("this producer was moved from; use the one it was moved to");
}

[[gnu::always_inline]] inline ProducerCore& producer_core(const std::shared_ptr<QueueCore>& core) {
  if (core == nullptr) [[unlikely]]
    throw_moved_from();
  return static_cast<ProducerCore&>(*core);
}

void wait_for_consumer(ProducerCore& core, const Timeout& timeout) {
  const auto there = [&] { return core.participants().count(wire::kRoleConsumer) != 0; };
  const std::chrono::nanoseconds patience =
      std::min(timeout.value_or(*core.wait_for_consumer), *core.wait_for_consumer);
  const os::Deadline deadline(patience);
  while (!there()) {
    if (core.wait_until(core.attachment().space(), deadline, there, there, [] { return std::uint64_t{0}; }) !=
        QueueCore::Waited::kTimedOut)
      continue;
    throw NoConsumers("queue '" + core.attachment().name() + "': no consumer came within " +
                      std::to_string(std::chrono::duration<double>(patience).count()) +
                      " s; start one, or let the ring fill without (wait_for_consumer)");
  }
  core.served.store(true, std::memory_order_relaxed);
  core.ordinary.store(core.limits.max_objects == 0, std::memory_order_relaxed);
}

[[noreturn]] void throw_too_large(ProducerCore& core, const FrameExtents& extents) {
  throw TooLarge("an object of " + text_of(extents.payload_size) + " (" + text_of(extents.extent) +
                 " as a frame) can never fit into queue '" + core.attachment().name() + "' with a capacity of " +
                 text_of(core.ring()->capacity()) + "; create the queue with a larger capacity");
}

void check_size(ProducerCore& core, const FrameExtents& extents) {
  if (extents.extent > core.ring()->capacity()) [[unlikely]]
    throw_too_large(core, extents);
}

QueueCore::Waited wait_for_room(ProducerCore& core, std::uint64_t extent, const Timeout& timeout,
                                FunctionRef<bool()> attempt) {
  const Ring& ring = *core.ring();
  return core.wait_until(
      core.attachment().space(), os::Deadline(timeout), [&] { return ring.maybe_room(extent); }, attempt,
      [&] { return ring.being_read(); }, kPausesForRoom);
}

// At the end of a window: a moment in which consumers may take what is left of it. Where they did not lately, because
// they are slower than the producers, that is tried ever less often.
void wait_for_window(ProducerCore& core, std::uint64_t extent, const Timeout& timeout) {
  const Ring& ring = *core.ring();
  const std::uint64_t window = window_size(ring.capacity(), extent);
  const std::uint64_t most = core.backlog.load(kRelaxed) ? std::max(window, kMostBacklog) : window;
  const std::uint64_t used = ring.before_window(extent, most);
  if (used == 0 || core.spin_ns() == 0 || !core.window_waits.due()) return;
  const std::chrono::nanoseconds enough(kWindowNs + used / kBytesPerNs);
  const os::Deadline deadline(std::min(timeout.value_or(enough), enough));
  bool empty = false;
  do {
    for (int pause = 0; pause < kPausesForWindow; ++pause) cpu_pause();
    empty = ring.before_window(extent, most) == 0;
  } while (!empty && !deadline.passed());
  core.window_waits.note(empty);
  if (empty || !timeout || *timeout >= enough) core.backlog.store(false, kRelaxed);
}

// Reserves room for the first of `extents`, waiting if need be; as many more as fit. 0: full, or dropped by the policy.
std::size_t reserve_or_wait(ProducerCore& core, ParticipantId me, std::span<const FrameExtents> extents,
                            const Timeout& timeout, std::span<Place> out) {
  if (!core.served.load(std::memory_order_relaxed)) [[unlikely]]
    wait_for_consumer(core, timeout);
  Ring& ring = *core.ring();
  const bool may_wait = core.policy == Policy::kBlock && !(timeout && timeout->count() <= 0);
  Limits limits = core.limits;
  limits.windows = core.way.now() == WriteWay::kWindows;
  if (may_wait && limits.windows) wait_for_window(core, extents[0].extent, timeout);
  std::size_t done = ring.reserve(me, extents, limits, os::Deadline(no_wait), out);
  if (done != 0) [[likely]]
    return done;
  core.wanted.store(extents[0].extent, std::memory_order_relaxed);
  if (core.policy != Policy::kBlock) {
    core.reap_now_and_then(me, no_wait);
    done = ring.reserve(me, extents, limits, os::Deadline(kLockSlice), out);
    if (done == 0) {
      SHMLANE_CRASH_POINT("producer.drop_newest");
      atomic(core.participants().entry(id_index(me)).dropped).fetch_add(1, kRelaxed);
    }
    return done;
  }
  if (!may_wait) {
    core.reap_now_and_then(me, no_wait);
    return ring.reserve(me, extents, limits, os::Deadline(no_wait), out);
  }
  const auto attempt = [&] {
    done = ring.reserve(me, extents, limits, os::Deadline(kLockSlice), out);
    return done != 0;
  };
  while (wait_for_room(core, extents[0].extent, timeout, attempt) == QueueCore::Waited::kCancelled) {
  }
  return done;
}

void find_quickest_way(ProducerCore& core, ParticipantId me) noexcept {
  const Participants& table = core.participants();
  const std::uint64_t written = atomic(table.entry(id_index(me)).pushed_bytes).load(kRelaxed);
  if (!core.way.due(written)) return;
  std::uint64_t taken = 0;
  for (unsigned index = 0, end = table.used(); index < end; ++index) {
    taken += atomic(table.entry(index).popped_bytes).load(kRelaxed);
  }
  if (!core.way.note(written, taken, os::monotonic_ns())) return;
  core.window_waits.note(true);
  core.backlog.store(core.way.now() == WriteWay::kWindows, kRelaxed);
}

std::size_t reserve_frames(ProducerCore& core, ParticipantId me, std::span<const FrameExtents> extents,
                           const Timeout& timeout, std::span<Place> out) {
  const std::size_t done = reserve_or_wait(core, me, extents, timeout, out);
  if (done != 0 && extents[0].extent >= kPastCaches) find_quickest_way(core, me);
  return done;
}

inline bool reserve_at_once(ProducerCore& core, ParticipantId me, const FrameExtents& extents, Place& out) {
  return core.ordinary.load(std::memory_order_relaxed) && core.ring()->reserve_one(me, extents, out);
}

inline bool reserve_frame(ProducerCore& core, ParticipantId me, const FrameExtents& extents, const Timeout& timeout,
                          Place& out) {
  if (reserve_at_once(core, me, extents, out)) [[likely]]
    return true;
  return reserve_frames(core, me, {&extents, 1}, timeout, {&out, 1}) != 0;
}

inline std::size_t reserve_batch(ProducerCore& core, ParticipantId me, std::span<const FrameExtents> extents,
                                 const Timeout& timeout, std::span<Place> out) {
  const std::size_t done =
      core.ordinary.load(std::memory_order_relaxed) ? core.ring()->reserve_run(me, extents, out) : 0;
  return done != 0 ? done : reserve_frames(core, me, extents, timeout, out);
}

// Fills a reserved frame and publishes it; a writer that throws leaves nothing behind.
inline void fill(ProducerCore& core, ParticipantId me, const Place& place, const FrameExtents& extents,
                 const Producer::Outgoing& frame) {
  Ring& ring = *core.ring();
  try {
    SHMLANE_CRASH_POINT("producer.payload");
    const std::span<std::byte> payload(place.frame + extents.payload_offset, extents.payload_size);
    if (frame.write != nullptr) {
      frame.write(frame.source, payload);
    } else if (payload.size() >= kPastCaches && core.way.now() == WriteWay::kPastCaches) {
      copy_past_caches(payload.data(), frame.source, payload.size());
    } else {
      frame_access::copy(payload.data(), frame.source, payload.size());
    }
  } catch (...) {
    ring.abort(me, place);
    core.attachment().space().wake_one();
    throw;
  }
  frame_access::write(place.frame, extents, frame.metadata);
  ring.commit(me, place);
  core.attachment().items().wake_one();
}

// A writer that throws ends the batch: what is before it is published, what is behind it given back.
void fill_all(ProducerCore& core, ParticipantId me, std::span<const Place> places, const FrameExtents* extents,
              const Producer::Outgoing* frames) {
  for (std::size_t i = 0; i < places.size(); ++i) {
    try {
      fill(core, me, places[i], extents[i], frames[i]);
    } catch (...) {
      for (const Place& behind : places.subspan(i + 1)) core.ring()->abort(me, behind);
      core.attachment().space().wake_one();
      throw;
    }
  }
}

PushResult not_pushed(const ProducerCore& core) noexcept {
  return core.policy == Policy::kBlock ? PushResult::kFull : PushResult::kDropped;
}

}  // namespace

Producer::Producer(std::string_view name, const ProducerOptions& options) {
  core_ = QueueCore::make<ProducerCore>(name, options, asked_write_way());
}

PushResult Producer::push_frame(std::string_view metadata, std::uint64_t payload_size, Timeout timeout,
                                const void* source, Write write) {
  ProducerCore& core = producer_core(core_);
  const QueueCore::Use use(core);
  const FrameExtents extents = frame_access::extents_for(metadata.size(), payload_size);
  check_size(core, extents);
  Place place;
  if (!reserve_frame(core, use.me(), extents, timeout, place)) return not_pushed(core);
  fill(core, use.me(), place, extents, {metadata, payload_size, source, write});
  return PushResult::kPushed;
}

bool Producer::push_at_once(const Outgoing& frame) {
  ProducerCore& core = producer_core(core_);
  const QueueCore::Use use(core);
  const FrameExtents extents = frame_access::extents_for(frame.metadata.size(), frame.payload_size);
  check_size(core, extents);
  Place place;
  if (!reserve_at_once(core, use.me(), extents, place)) return false;
  fill(core, use.me(), place, extents, frame);
  return true;
}

std::size_t Producer::push_frames(std::span<const Outgoing> frames, Timeout timeout) {
  ProducerCore& core = producer_core(core_);
  const QueueCore::Use use(core);
  std::size_t pushed = 0;
  while (pushed < frames.size()) {
    std::array<FrameExtents, kBatch> extents;
    std::array<Place, kBatch> places;
    const std::size_t count = std::min(frames.size() - pushed, kBatch);
    for (std::size_t i = 0; i < count; ++i) {
      const Outgoing& frame = frames[pushed + i];
      extents[i] = frame_access::extents_for(frame.metadata.size(), frame.payload_size);
      check_size(core, extents[i]);
    }
    const Timeout patience = pushed == 0 ? timeout : Timeout(no_wait);
    const std::size_t done = reserve_batch(core, use.me(), {extents.data(), count}, patience, places);
    if (done == 0 && core.policy == Policy::kBlock) break;
    fill_all(core, use.me(), {places.data(), done}, extents.data(), frames.data() + pushed);
    pushed += std::max<std::size_t>(done, 1);  // if none went, the policy dropped the first, and counted it
  }
  return pushed;
}

std::optional<Reservation> Producer::reserve(std::string_view metadata, std::uint64_t payload_size, Timeout timeout) {
  ProducerCore& core = producer_core(core_);
  QueueCore::Use use(core);
  const FrameExtents extents = frame_access::extents_for(metadata.size(), payload_size);
  check_size(core, extents);
  Place place;
  if (!reserve_frame(core, use.me(), extents, timeout, place)) return std::nullopt;
  Reservation reservation;
  reservation.core_ = core_;
  reservation.frame_ = place.frame;
  reservation.position_ = place.position;
  reservation.participant_ = use.me();
  reservation.extents_ = extents;
  use.hand_over();
  reservation.metadata_ = metadata;
  return reservation;
}

bool Producer::wait(Timeout timeout) {
  ProducerCore& core = producer_core(core_);
  const QueueCore::Use use(core);
  Ring& ring = *core.ring();
  const auto attempt = [&] {
    if (core.wait_for_consumer && core.participants().count(wire::kRoleConsumer) == 0 && !core.served) return false;
    return ring.has_room(use.me(), core.wanted.load(std::memory_order_relaxed), core.limits, os::Deadline(kLockSlice));
  };
  // Asked once whatever the hint says: it looks at the oldest frame only, and others may limit the number of objects.
  return attempt() ||
         wait_for_room(core, core.wanted.load(std::memory_order_relaxed), timeout, attempt) == QueueCore::Waited::kDone;
}

std::string Producer::why_full() const {
  ProducerCore& core = producer_core(core_);
  const std::string obstacle = core.ring()->obstacle();
  return "queue '" + core.attachment().name() + "' with a capacity of " + text_of(core.ring()->capacity()) +
         " is full" + (obstacle.empty() ? "; consumers are slower than producers" : ": " + obstacle);
}

}  // namespace shmlane
