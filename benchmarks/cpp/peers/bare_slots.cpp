// SPDX-License-Identifier: Apache-2.0
// The limit of the latest value: memcpy into slots of plain shared memory in turn, a count that says which is the newest,
// and memcpy out. Nothing survives anybody's death, values are torn, nothing sleeps, one writer only.
#include <atomic>
#include <cstring>
#include <vector>

#include "alone.hpp"
#include "peers.hpp"
#include "shared_file.hpp"

namespace bench {
namespace {

constexpr std::size_t kSlots = 4;  // as many as a stream has by default

class Slots {
 public:
  explicit Slots(const Setup& setup)
      : stride_((setup.largest + 63) / 64 * 64), base_(map_shared(setup.name, 64 + kSlots * stride_)) {}
  void write(std::span<const std::byte> value) noexcept {
    const std::uint64_t next = count().load(std::memory_order_relaxed) + 1;
    std::memcpy(slot(next), value.data(), value.size());
    count().store(next, std::memory_order_release);
  }
  std::uint64_t read(std::span<std::byte> out) noexcept {
    const std::uint64_t newest = count().load(std::memory_order_acquire);
    std::memcpy(out.data(), slot(newest), out.size());
    return newest;
  }
  void await(std::uint64_t after) noexcept {
    while (count().load(std::memory_order_acquire) <= after) relax();
  }

 private:
  std::atomic<std::uint64_t>& count() noexcept { return *reinterpret_cast<std::atomic<std::uint64_t>*>(base_); }
  std::byte* slot(std::uint64_t number) noexcept { return base_ + 64 + number % kSlots * stride_; }

  std::size_t stride_;
  std::byte* base_;
};

class SlotsPeer : public Peer {
  void create(const Setup& setup) const override { Slots slots(setup); }
  void remove(const Setup& setup) const noexcept override { unlink_shared(setup.name); }
};

struct Write {
  explicit Write(const Setup& setup) : slots(setup), value(setup.largest, std::byte{2}) {}
  void step() { slots.write(value); }
  Slots slots;
  std::vector<std::byte> value;
};

struct Read {
  explicit Read(const Setup& setup) : slots(setup), value(setup.largest) {}
  void step() { slots.read(value); }
  Slots slots;
  std::vector<std::byte> value;
};

class Sender {
 public:
  explicit Sender(const Setup& setup) : slots_(setup) {}
  void push(Payloads& payloads) { slots_.write(payloads.next()); }

 private:
  Slots slots_;
};

class Receiver {
 public:
  explicit Receiver(const Setup& setup) : slots_(setup), value_(setup.largest) {}
  template <class Consume>
  void pop(Consume&& consume) {
    slots_.await(count_);
    count_ = slots_.read(value_);
    consume(value_);
  }

 private:
  Slots slots_;
  std::vector<std::byte> value_;
  std::uint64_t count_ = 0;
};

class PingPong final : public PeerOf<Sender, Receiver> {
  void create(const Setup& setup) const override { Slots slots(setup); }
  void remove(const Setup& setup) const noexcept override { unlink_shared(setup.name); }
};

}  // namespace

std::unique_ptr<Peer> make_bare_slots() { return std::make_unique<PingPong>(); }
std::unique_ptr<Peer> make_bare_write() { return std::make_unique<AloneOn<Write, SlotsPeer>>(); }
std::unique_ptr<Peer> make_bare_observed() { return std::make_unique<Observed<Write, Read, SlotsPeer>>(); }

}  // namespace bench
