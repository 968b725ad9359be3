// SPDX-License-Identifier: Apache-2.0
// The consuming end: waiting for objects, the end of stream, copies and leases.
#include <algorithm>
#include <array>
#include <vector>

#include "crash_point.hpp"
#include "function_ref.hpp"
#include "queue_core.hpp"
#include "ring_ordinary.hpp"
#include "ring_taking.hpp"
#include "shmlane/error.hpp"
#include "shmlane/log.hpp"
#include "shmlane/queue.hpp"

namespace shmlane {
namespace {

constexpr std::chrono::nanoseconds kLockSlice{kSliceNs};
constexpr std::size_t kBatch = 64;  // frames taken under one lock

ParticipantPolicy policy_of(const ConsumerOptions& options) {
  if (options.max_attempts < 1 || options.max_attempts > 255) {
    throw InvalidArgument("max_attempts is " + std::to_string(options.max_attempts) + "; choose 1 to 255");
  }
  return {options.on_death, static_cast<std::uint8_t>(options.max_attempts)};
}

struct ConsumerCore final : QueueCore {
  ConsumerCore(std::string_view name, const ConsumerOptions& options)
      : QueueCore(name, options, wire::kRoleConsumer, policy_of(options)) {}
  void note_end(bool seen) noexcept {
    if (ended.load(std::memory_order_relaxed) != seen) ended.store(seen, std::memory_order_relaxed);
  }
  // Whether this epoch of the table was not the end when it was looked at last, so that who spins need not look at all
  // entries each time. Who dies while it changes the table leaves the epoch as it was, so that holds for a slice at most.
  [[nodiscard]] bool known_served(std::uint64_t epoch) const noexcept {
    return served_epoch_.load(std::memory_order_relaxed) == epoch &&
           served_slice_.load(std::memory_order_relaxed) == reaped_at();
  }
  void note_served(std::uint64_t epoch) noexcept {
    served_epoch_.store(epoch, std::memory_order_relaxed);
    served_slice_.store(reaped_at(), std::memory_order_relaxed);
  }
  std::atomic<bool> ended{false};

 private:
  std::atomic<std::uint64_t> served_epoch_{~std::uint64_t{0}};
  std::atomic<std::int64_t> served_slice_{-1};
};

[[noreturn, gnu::cold]] void throw_moved_from() {
  throw Closed("this consumer was moved from; use the one it was moved to");
}

[[gnu::always_inline]] inline ConsumerCore& consumer_core(const std::shared_ptr<QueueCore>& core) {
  if (core == nullptr) [[unlikely]]
    throw_moved_from();
  return static_cast<ConsumerCore&>(*core);
}

// A way to look for something, waiting for locks until the deadline: an acquire, or a mere has_ready.
using Look = FunctionRef<bool(Ring&, const os::Deadline&)>;

enum class Outcome : std::uint8_t { kNothing, kFound, kEnd, kCancelled };

// First see that there is no producer and no dead participant whose leases may come back, then look once more: any other
// order loses the last frames (W-46).
Outcome look_for_end(ConsumerCore& core, ParticipantId me, std::chrono::nanoseconds patience, Look look) {
  const Participants& table = core.participants();
  const std::uint64_t epoch = table.epoch();
  if (core.known_served(epoch)) return Outcome::kNothing;
  if (!table.seen(wire::kRoleProducer) || table.count(wire::kRoleProducer) != 0) {
    core.note_served(epoch);
    return Outcome::kNothing;
  }
  if (table.find_dead(me)) {
    core.reap_all(me, patience);
    return Outcome::kNothing;
  }
  if (table.epoch() != epoch) return Outcome::kNothing;  // one producer may have taken over from another
  Ring* const ring = core.ring();
  if (ring != nullptr && look(*ring, os::Deadline(kLockSlice))) return Outcome::kFound;
  if (ring != nullptr && !ring->drained(me, os::Deadline(kLockSlice))) return Outcome::kNothing;
  return Outcome::kEnd;
}

// The slow way, when the first look found nothing.
Outcome find(ConsumerCore& core, ParticipantId me, const os::Deadline& deadline, Look look) {
  Outcome outcome = Outcome::kNothing;
  const auto attempt = [&] {
    Ring* const ring = core.ring();
    const bool found = ring != nullptr && look(*ring, os::Deadline(kLockSlice));
    outcome = found ? Outcome::kFound : look_for_end(core, me, QueueCore::kLockPatience, look);
    return outcome != Outcome::kNothing;
  };
  if (deadline.immediate()) {
    core.reap_now_and_then(me, no_wait);
    outcome = look_for_end(core, me, no_wait, look);
    return outcome;
  }
  const auto hint = [&] {
    Ring* const ring = core.ring();
    return ring != nullptr && ring->maybe_ready();
  };
  const auto in_work = [&] {
    Ring* const ring = core.ring();
    return ring != nullptr ? ring->being_written() : 0;
  };
  const QueueCore::Waited waited = core.wait_until(core.attachment().items(), deadline, hint, attempt, in_work);
  return waited == QueueCore::Waited::kCancelled ? Outcome::kCancelled : outcome;
}

struct Took {
  std::size_t count = 0;
  bool ended = false;
};

// Takes up to places.size() frames under one lock, waiting for the first.
Took take(ConsumerCore& core, ParticipantId me, const Timeout& timeout, std::span<Place> places) {
  Ring* const ring = core.ring();
  const auto alone = [&] { return core.alone(); };
  Took took;
  if (ring != nullptr && ring->maybe_ready()) took.count = ring->acquire(me, alone, os::Deadline(no_wait), places);
  if (took.count == 0) [[unlikely]] {
    const os::Deadline deadline(timeout);
    const auto look = [&](Ring& found, const os::Deadline& lock_deadline) {
      took.count = found.acquire(me, alone, lock_deadline, places);
      return took.count != 0;
    };
    Outcome outcome = Outcome::kCancelled;
    while (outcome == Outcome::kCancelled) outcome = find(core, me, deadline, look);
    took.ended = outcome == Outcome::kEnd;
  }
  core.note_end(took.ended);
  return took;
}

// What a call gives whose take() took nothing. Not ended(), which another thread's call may have changed meanwhile.
template <class T>
Taken<T> nothing_taken(const Took& took) {
  return took.ended ? Taken<T>::end() : Taken<T>::nothing();
}

inline void give_back(QueueCore& core, ParticipantId me, const Place& place) noexcept {
  core.ring()->release(me, place.frame);
  core.attachment().space().wake_one();
}

// A frame's contents. One that is not sound is given back, counted as dropped, and the error goes on.
inline FrameView checked_view(ConsumerCore& core, ParticipantId me, const Place& place) {
  try {
    return core.ring()->view(place);
  } catch (const Corrupt&) {
    SHMLANE_CRASH_POINT("consumer.corrupt");
    atomic(core.participants().entry(id_index(me)).dropped).fetch_add(1, kRelaxed);
    give_back(core, me, place);
    throw;
  }
}

// The general way for the first of them.
[[gnu::noinline]] Took take_first(ConsumerCore& core, ParticipantId me, const Timeout& timeout, Taking& first) {
  const Took took = take(core, me, timeout, {&first.place, 1});
  if (took.count != 0) first.attempt = Ring::attempt_of(first.place);
  first.sound = false;
  return took;
}

// Takes one frame, waiting for it, and answers with give(taking, view) of it. The ordinary way comes first and is apart,
// so that all it knows stays in registers.
template <class T, class Give>
[[gnu::always_inline]] inline Taken<T> take_one(ConsumerCore& core, ParticipantId me, const Timeout& timeout,
                                                Give&& give) {
  Ring* const ring = core.ring();
  Taking taking{};
  if (ring != nullptr && ring->acquire_one(
                             me, [&] { return core.alone(); }, taking)) [[likely]] {
    core.note_end(false);
    return give(taking, frame_access::view_of(taking.place.frame, taking.extents));
  }
  Taking first{};
  const Took took = take_first(core, me, timeout, first);
  if (took.count == 0) return nothing_taken<T>(took);
  return give(first, checked_view(core, me, first.place));
}

// Takes up to takings.size() frames, waiting for the first.
Took take_some(ConsumerCore& core, ParticipantId me, const Timeout& timeout, std::span<Taking> takings) {
  const auto take_run = [&](std::span<Taking> out, auto&& alone) {
    Ring* const ring = core.ring();
    return ring == nullptr ? 0 : ring->acquire_run(me, alone, out);
  };
  Took took{.count = take_run(takings, [&] { return core.alone(); })};
  if (took.count != 0) [[likely]] {
    core.note_end(false);
    return took;
  }
  took = take_first(core, me, timeout, takings.front());
  // The first is held already, though not counted yet.
  if (took.count != 0) took.count += take_run(takings.subspan(1), [] { return false; });
  return took;
}

[[gnu::always_inline]] inline FrameView view_of(ConsumerCore& core, ParticipantId me, const Taking& taking) {
  return taking.sound ? frame_access::view_of(taking.place.frame, taking.extents)
                      : checked_view(core, me, taking.place);
}

// Leases of a call that failed for want of memory go to whoever takes next. Where a lock is not to be had, they are held
// until this process ends: the tail does not pass a hold that is counted.
[[gnu::cold]] void put_back(ConsumerCore& core, ParticipantId me, std::span<const Taking> takings) noexcept {
  try {
    for (const Taking& taking : takings) {
      if (!core.ring()->redeliver(me, taking.place, os::Deadline(kLockSlice))) core.enter_again();
    }
  } catch (const std::exception& error) {
    log(LogLevel::kError, error.what());
  }
  core.attachment().wake_everybody();
}

// Calls consume(taking, view) for each, and adds to `sound`, which counts those of earlier calls, too. Corrupt frames are
// logged, so that the sound ones beside them are not lost; if there is no sound one, the last error is thrown. What cannot
// be consumed is put back. Returns whether to go on.
template <class Consume>
bool for_each_sound(ConsumerCore& core, ParticipantId me, std::span<const Taking> takings, std::size_t& sound,
                    Consume&& consume) {
  for (std::size_t i = 0; i < takings.size(); ++i) {
    try {
      consume(takings[i], view_of(core, me, takings[i]));
      ++sound;
    } catch (const Corrupt& error) {
      if (sound == 0 && i + 1 == takings.size()) throw;
      log(LogLevel::kError, error.what());
    } catch (...) {
      put_back(core, me, takings.subspan(i));
      if (sound == 0) throw;
      return false;
    }
  }
  return true;
}

// The same for up to `max` frames, waiting for the first. An error that comes after sound ones is left to the next call,
// which meets it again.
template <class Consume>
void take_many(ConsumerCore& core, ParticipantId me, std::size_t max, Timeout timeout, Consume&& consume) {
  std::array<Taking, kBatch> takings;
  std::size_t taken = 0, sound = 0;
  while (taken < max) {
    const Timeout patience = taken == 0 ? timeout : Timeout(no_wait);
    const std::span<Taking> wanted(takings.data(), std::min(max - taken, kBatch));
    std::size_t count = 0;
    try {
      count = take_some(core, me, patience, wanted).count;
    } catch (...) {
      if (sound == 0) throw;
    }
    if (count == 0 || !for_each_sound(core, me, wanted.first(count), sound, consume)) return;
    taken += count;
  }
}

}  // namespace

Consumer::Consumer(std::string_view name, const ConsumerOptions& options) {
  core_ = QueueCore::make<ConsumerCore>(name, options);
}

Taken<Object> Consumer::pop(Timeout timeout) {
  ConsumerCore& core = consumer_core(core_);
  const QueueCore::Use use(core);
  return take_one<Object>(core, use.me(), timeout, [&](const Taking& taking, const FrameView& view) {
    try {
      Object object(view, taking.attempt);
      give_back(core, use.me(), taking.place);
      return Taken<Object>(std::move(object));
    } catch (...) {
      put_back(core, use.me(), {&taking, 1});
      throw;
    }
  });
}

std::vector<Object> Consumer::pop_many(std::size_t max, Timeout timeout) {
  ConsumerCore& core = consumer_core(core_);
  const QueueCore::Use use(core);
  std::vector<Object> objects;
  take_many(core, use.me(), max, timeout, [&](const Taking& taking, const FrameView& view) {
    objects.emplace_back(view, taking.attempt);
    give_back(core, use.me(), taking.place);
  });
  return objects;
}

Taken<Lease> Consumer::acquire(Timeout timeout) {
  ConsumerCore& core = consumer_core(core_);
  QueueCore::Use use(core);
  return take_one<Lease>(core, use.me(), timeout, [&](const Taking& taking, const FrameView& view) {
    use.hand_over();
    use.end();
    return Taken<Lease>(std::in_place, Lease::Parts{view, taking.attempt, &core, taking.place.frame, use.me()});
  });
}

std::vector<Lease> Consumer::acquire_many(std::size_t max, Timeout timeout) {
  ConsumerCore& core = consumer_core(core_);
  const QueueCore::Use use(core);
  std::vector<Lease> leases;
  take_many(core, use.me(), max, timeout, [&](const Taking& taking, const FrameView& view) {
    leases.emplace_back(Lease::Parts{view, taking.attempt, &core, taking.place.frame, use.me()});
    core.enter_again();
  });
  return leases;
}

LeasedBatch Consumer::acquire_batch(std::size_t max, Timeout timeout) {
  ConsumerCore& core = consumer_core(core_);
  QueueCore::Use use(core);
  LeasedBatch batch;
  if (max == 0) return batch;
  std::array<Taking, kBatch> takings;
  const std::span<Taking> wanted(takings.data(), std::min(max, kBatch));
  // Before anything is leased that could be lost for want of memory.
  batch.frames_.reserve(wanted.size());
  const std::size_t count = take_some(core, use.me(), timeout, wanted).count;
  if (count == 0) return batch;
  std::size_t sound = 0;
  for_each_sound(core, use.me(), wanted.first(count), sound, [&](const Taking& taking, const FrameView& view) {
    batch.frames_.emplace_back(view, taking.attempt, taking.place.frame);
  });
  batch.core_ = &core;
  batch.participant_ = use.me();
  use.hand_over();
  return batch;
}

bool Consumer::wait(Timeout timeout) {
  ConsumerCore& core = consumer_core(core_);
  const QueueCore::Use use(core);
  const auto look = [&](Ring& ring, const os::Deadline& deadline) { return ring.has_ready(use.me(), deadline); };
  Ring* const ring = core.ring();
  const bool there = ring != nullptr && look(*ring, os::Deadline(no_wait));
  const Outcome outcome = there ? Outcome::kFound : find(core, use.me(), os::Deadline(timeout), look);
  core.note_end(outcome == Outcome::kEnd);
  return outcome == Outcome::kFound || outcome == Outcome::kEnd;
}

bool Consumer::ended() const noexcept {
  return core_ != nullptr && static_cast<const ConsumerCore&>(*core_).ended.load(std::memory_order_relaxed);
}

}  // namespace shmlane
