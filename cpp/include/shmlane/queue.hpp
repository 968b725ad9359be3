// SPDX-License-Identifier: Apache-2.0
// Producer and Consumer: a bounded many-to-many queue of typed objects between the processes of one machine.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shmlane/codec.hpp"
#include "shmlane/error.hpp"
#include "shmlane/export.hpp"
#include "shmlane/hold.hpp"
#include "shmlane/object.hpp"
#include "shmlane/options.hpp"
#include "shmlane/wire.hpp"

namespace shmlane {

inline constexpr std::uint64_t kDefaultCapacity = std::uint64_t{32} << 20;

// What a producer does when the ring is full.
enum class Policy : std::uint8_t { kBlock, kDropOldest, kDropNewest };
enum class PushResult : std::uint8_t { kPushed, kFull, kDropped };

struct QueueOptions {
  std::optional<std::uint64_t> capacity{};  // bytes, rounded up to whole pages
  Stale stale = Stale::kAuto;
  unsigned mode = 0600;  // permissions of what is created
  bool unlink = true;    // false: leave the segment behind when the last participant goes
  InterruptCheck interrupt_check = nullptr;
};

struct ProducerOptions : QueueOptions {
  Policy policy = Policy::kBlock;
  Timeout wait_for_consumer = std::chrono::seconds(60);  // zero: fail at once; forever: let the ring fill instead
  std::uint64_t max_objects = 0;                         // at most so many objects wait in the ring; 0: no limit
};

struct ConsumerOptions : QueueOptions {
  wire::OnDeath on_death = wire::OnDeath::kRedeliver;
  unsigned max_attempts = 3;  // deliveries of one object in all, 1 to 255
};

// What has happened since the segment was made; always on, and no death resets them. The README has the same table.
struct Counters {
  std::uint64_t pushed = 0;        // objects given to the ring, those whose reservation is still open included
  std::uint64_t pushed_bytes = 0;  // payload bytes that were reserved, for aborted reservations, too
  std::uint64_t aborted = 0;       // reservations given back, by their owner or, after its death, by others
  std::uint64_t popped = 0;        // objects taken, each delivery of one that was redelivered included
  std::uint64_t popped_bytes = 0;  // their payload bytes
  std::uint64_t dropped = 0;       // objects that nobody will get: by the policy, after max_attempts, or corrupt
  std::uint64_t redelivered = 0;   // objects that went back into the ring because their consumer died or left
  std::uint64_t waits = 0;         // calls that went to sleep
  std::uint64_t recovered = 0;     // locks taken over from the dead
};

// What `stat` shows of a queue, read without locks: each number is right, together they may be of different moments.
struct QueueStat : Counters {
  std::uint64_t capacity = 0, used = 0;  // bytes
  unsigned producers = 0, consumers = 0;
};

// Base of both ends. All methods may be called by several threads at once.
class SHMLANE_EXPORT QueueHandle {
 public:
  [[nodiscard]] const std::string& name() const noexcept;
  // Bytes of the ring; 0 as long as nobody has named one.
  [[nodiscard]] std::uint64_t capacity() const;
  [[nodiscard]] bool closed() const noexcept;
  [[nodiscard]] QueueStat stat() const;
  // Objects that wait in the ring; exact when nobody works on it.
  [[nodiscard]] std::uint64_t size() const;
  // Ends the handle: idempotent. Wakes whoever waits on it in another thread, who then gets Closed.
  void close();
  // Makes every wait() that other threads are in at this moment return false.
  void cancel_wait();
  // This handle's id among the participants (see ParticipantInfo), and whether the participant of that id still lives.
  [[nodiscard]] std::uint64_t participant();
  [[nodiscard]] bool is_alive(std::uint64_t participant);
  // Waits until done(), asked whenever a frame was given back; reaps the dead meanwhile. False on time-out or
  // cancel_wait(). Throws Closed, and what done() throws.
  bool wait_for_releases(const std::function<bool()>& done, Timeout timeout = forever);

 protected:
  QueueHandle() = default;
  QueueHandle(QueueHandle&&) noexcept = default;
  QueueHandle& operator=(QueueHandle&&) noexcept;
  ~QueueHandle();
  std::shared_ptr<QueueCore> core_;
};

class SHMLANE_EXPORT Producer : public QueueHandle {
 public:
  // Creates the queue or attaches to it. Throws InvalidName, CapacityMismatch, NoSpace, PermissionDenied, Foreign,
  // WrongKind, WrongVersion, WrongLayout, TooManyParticipants.
  explicit Producer(std::string_view name, const ProducerOptions& options = {});

  // Copies `object` into the ring. Throws TooLarge if it can never fit, NoConsumers, UnsupportedType, Closed.
  template <Encodable T>
  PushResult push(const T& object, Timeout timeout = forever) {
    const auto metadata = Codec<T>::metadata(object);
    const Outgoing frame = outgoing(metadata, object);
    return push_frame(frame.metadata, frame.payload_size, timeout, frame.source, frame.write);
  }
  template <Encodable T>
  PushResult try_push(const T& object) {
    return push(object, no_wait);
  }

  // Pushes as many as there is room for, blocking until at least one went; returns how many, in order from the first.
  // With a policy that drops these are all, those that it dropped included.
  template <Encodable T>
  std::size_t push_many(std::span<const T> objects, Timeout timeout = forever);

  // Reserves room for a frame. Empty result: no room in time (kFull) or dropped by the policy.
  [[nodiscard]] std::optional<Reservation> reserve(std::string_view metadata, std::uint64_t payload_size,
                                                   Timeout timeout = forever);
  // Waits until the push that was kFull last may succeed, without taking room; false on time-out or cancel_wait().
  bool wait(Timeout timeout = forever);
  // For messages: who or what keeps the ring full.
  [[nodiscard]] std::string why_full() const;

  using Write = void (*)(const void* source, std::span<std::byte> out);
  // The untyped push: `write(source, payload)` fills the payload in the ring; if it throws, nothing is published. Without
  // `write`, the payload is the `payload_size` bytes at `source`.
  PushResult push_frame(std::string_view metadata, std::uint64_t payload_size, Timeout timeout, const void* source,
                        Write write);

  struct Outgoing {  // one frame of a batch
    std::string_view metadata;
    std::uint64_t payload_size;
    const void* source;
    Write write;
  };
  std::size_t push_frames(std::span<const Outgoing> frames, Timeout timeout);
  // The same for one frame where nothing at all is in the way; false, and nothing done, in any other case.
  bool push_at_once(const Outgoing& frame);

 private:
  template <class T>
  static Outgoing outgoing(std::string_view metadata, const T& object) {
    if constexpr (Contiguous<T>) {
      const std::optional<std::span<const std::byte>> bytes = Codec<T>::bytes(object);
      if (bytes) return {metadata, bytes->size(), bytes->data(), nullptr};
    }
    return {metadata, Codec<T>::payload_size(object), &object,
            [](const void* source, std::span<std::byte> out) { Codec<T>::write(*static_cast<const T*>(source), out); }};
  }
};

class SHMLANE_EXPORT Consumer : public QueueHandle {
 public:
  // As Producer; without a capacity a consumer that comes first waits for the producer to name one.
  explicit Consumer(std::string_view name, const ConsumerOptions& options = {});

  // One copy of the next object. Throws Corrupt, Closed; std::bad_alloc, and then the object goes back into the queue as if
  // its consumer had died.
  [[nodiscard]] Taken<Object> pop(Timeout timeout = forever);
  [[nodiscard]] Taken<Object> try_pop() { return pop(no_wait); }
  // Up to `max` objects, as soon as there is one; an empty vector means empty or ended: see ended(). Less than there are
  // if memory runs out or the last ones are corrupt.
  [[nodiscard]] std::vector<Object> pop_many(std::size_t max, Timeout timeout = forever);

  [[nodiscard]] Taken<Lease> acquire(Timeout timeout = forever);
  [[nodiscard]] Taken<Lease> try_acquire() { return acquire(no_wait); }
  [[nodiscard]] std::vector<Lease> acquire_many(std::size_t max, Timeout timeout = forever);
  // Up to 64 objects that are read in place and given back together: what costs least per object. Empty as above.
  [[nodiscard]] LeasedBatch acquire_batch(std::size_t max, Timeout timeout = forever);

  // Waits until there is an object, or the end, without taking anything; false on time-out or cancel_wait().
  bool wait(Timeout timeout = forever);
  // True when the last call saw the end of stream.
  [[nodiscard]] bool ended() const noexcept;
};

template <Encodable T>
std::size_t Producer::push_many(std::span<const T> objects, Timeout timeout) {
  using Text = decltype(Codec<T>::metadata(objects[0]));
  std::vector<Outgoing> frames;
  frames.reserve(objects.size());
  [[maybe_unused]] std::vector<Text> texts;
  if constexpr (!std::is_same_v<Text, std::string_view>) texts.reserve(objects.size());
  for (const T& object : objects) {
    if constexpr (std::is_same_v<Text, std::string_view>) {
      frames.push_back(outgoing(Codec<T>::metadata(object), object));
    } else {
      frames.push_back(outgoing(texts.emplace_back(Codec<T>::metadata(object)), object));
    }
  }
  return push_frames(frames, timeout);
}

}  // namespace shmlane
