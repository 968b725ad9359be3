// SPDX-License-Identifier: Apache-2.0
// The limit of moving bytes with one copy: a producer's memcpy and a consumer's sum overlap, a flag per slot between
// them, and as many slots as the capacity holds. Nothing survives anybody's death, nothing sleeps, one to one only.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "peers.hpp"
#include "shared_file.hpp"

namespace bench {
namespace {

struct alignas(64) Slot {
  std::atomic<std::uint64_t> size;  // of the payload behind it; 0: free
};

class Slots {
 public:
  explicit Slots(const Setup& setup)
      : stride_((setup.largest + 127) / 64 * 64),
        count_(std::max<std::size_t>(2, setup.capacity / stride_)),
        base_(map_shared(setup.name, count_ * stride_)) {}
  Slot& next() noexcept {
    Slot& slot = *reinterpret_cast<Slot*>(base_ + at_ * stride_);
    at_ = at_ + 1 == count_ ? 0 : at_ + 1;
    return slot;
  }

 private:
  std::size_t stride_;
  std::size_t count_;
  std::size_t at_ = 0;
  std::byte* base_;
};

std::byte* payload_of(Slot& slot) noexcept { return reinterpret_cast<std::byte*>(&slot + 1); }

class Sender {
 public:
  explicit Sender(const Setup& setup) : slots_(setup), in_place_(setup.in_place) {}
  void push(Payloads& payloads) {
    const std::span<const std::byte> payload = payloads.next();
    Slot& slot = slots_.next();
    while (slot.size.load(std::memory_order_acquire) != 0) relax();
    if (in_place_) {
      std::memset(payload_of(slot), static_cast<int>(payload[0]), payload.size());
    } else {
      std::memcpy(payload_of(slot), payload.data(), payload.size());
    }
    slot.size.store(payload.size(), std::memory_order_release);
  }

 private:
  Slots slots_;
  bool in_place_;
};

class Receiver {
 public:
  explicit Receiver(const Setup& setup) : slots_(setup) {}
  template <class Consume>
  void pop(Consume&& consume) {
    Slot& slot = slots_.next();
    std::uint64_t size = 0;
    while ((size = slot.size.load(std::memory_order_acquire)) == 0) relax();
    consume(std::span<const std::byte>(payload_of(slot), size));
    slot.size.store(0, std::memory_order_release);
  }

 private:
  Slots slots_;
};

class OneCopy final : public PeerOf<Sender, Receiver> {
  void create(const Setup& setup) const override { Slots slots(setup); }
  void remove(const Setup& setup) const noexcept override { unlink_shared(setup.name); }
};

}  // namespace

std::unique_ptr<Peer> make_one_copy() { return std::make_unique<OneCopy>(); }

}  // namespace bench
