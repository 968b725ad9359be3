// SPDX-License-Identifier: Apache-2.0
// Boost.Interprocess message_queue: as many slots of the largest payload as the capacity holds.
#include <algorithm>
#include <boost/interprocess/ipc/message_queue.hpp>

#include "peers.hpp"

namespace bench {
namespace {

namespace bip = boost::interprocess;

class Sender {
 public:
  explicit Sender(const Setup& setup) : queue_(bip::open_only, setup.name.c_str()) {}
  void push(Payloads& payloads) {
    const std::span<const std::byte> payload = payloads.next();
    queue_.send(payload.data(), payload.size(), 0);
  }

 private:
  bip::message_queue queue_;
};

class Receiver {
 public:
  explicit Receiver(const Setup& setup)
      : queue_(bip::open_only, setup.name.c_str()), copy_(setup.largest), spin_(setup.spin) {}
  template <class Consume>
  void pop(Consume&& consume) {
    std::size_t size = 0;
    unsigned priority = 0;
    if (spin_) {
      while (!queue_.try_receive(copy_.data(), copy_.size(), size, priority)) continue;
    } else {
      queue_.receive(copy_.data(), copy_.size(), size, priority);
    }
    consume(std::span<const std::byte>(copy_.data(), size));
  }

 private:
  bip::message_queue queue_;
  std::vector<std::byte> copy_;
  bool spin_;
};

class BoostQueue final : public PeerOf<Sender, Receiver> {
  void create(const Setup& setup) const override {
    const std::size_t slots = std::max<std::size_t>(2, setup.capacity / (setup.largest + 64));
    bip::message_queue(bip::create_only, setup.name.c_str(), slots, setup.largest);
  }
  void remove(const Setup& setup) const noexcept override { bip::message_queue::remove(setup.name.c_str()); }
};

}  // namespace

std::unique_ptr<Peer> make_boost() { return std::make_unique<BoostQueue>(); }

}  // namespace bench
