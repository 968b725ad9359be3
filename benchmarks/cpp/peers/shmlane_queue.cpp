// SPDX-License-Identifier: Apache-2.0
// shmlane: push copies each payload into the ring, the consumer reads it in place, or takes a copy of it.
#include <cstring>

#include "peers.hpp"
#include "shmlane/codecs.hpp"
#include "shmlane/inspect.hpp"
#include "shmlane/queue.hpp"

namespace bench {
namespace {

constexpr unsigned kMaxBatch = 64;

class Sender {
 public:
  explicit Sender(const Setup& setup)
      : batch_(setup.batch), in_place_(setup.in_place), producer_(setup.name, {{.capacity = setup.capacity}}) {
    if (batch_ > kMaxBatch) throw std::invalid_argument("batches of at most 64");
  }
  void push(Payloads& payloads) {
    if (in_place_) return fill(payloads.next());
    if (batch_ == 1) {
      producer_.push(payloads.next());
      return;
    }
    std::span<const std::byte> objects[kMaxBatch];
    for (unsigned i = 0; i < batch_; ++i) objects[i] = payloads.next();
    for (std::span<const std::span<const std::byte>> left(objects, batch_); !left.empty();) {
      left = left.subspan(producer_.push_many(left));
    }
  }

 private:
  void fill(std::span<const std::byte> payload) {
    auto reservation = producer_.reserve(R"({"type":"bytes"})", payload.size());
    std::memset(reservation->payload().data(), static_cast<int>(payload[0]), payload.size());
    reservation->commit();
  }

  unsigned batch_;
  bool in_place_;
  shmlane::Producer producer_;
};

class Receiver {
 public:
  explicit Receiver(const Setup& setup) : setup_(setup), consumer_(setup.name, {{.capacity = setup.capacity}}) {}
  template <class Consume>
  void pop(Consume&& consume) {
    if (setup_.batch > 1) {
      for (const auto& object : consumer_.acquire_batch(setup_.batch)) consume(object.payload());
    } else if (setup_.popped) {
      const auto object = consumer_.pop();
      consume(object->payload());
    } else {
      const auto lease = setup_.spin ? spin() : consumer_.acquire();
      consume(lease->payload());
    }
  }

 private:
  shmlane::Taken<shmlane::Lease> spin() {
    for (;;) {
      if (auto lease = consumer_.try_acquire()) return lease;
    }
  }

  Setup setup_;
  shmlane::Consumer consumer_;
};

class ShmlaneQueue final : public PeerOf<Sender, Receiver> {
  void remove(const Setup& setup) const noexcept override {
    try {
      shmlane::remove_segment(setup.name, true);
    } catch (const shmlane::NotFound&) {
      return;
    }
  }
};

}  // namespace

std::unique_ptr<Peer> make_shmlane() { return std::make_unique<ShmlaneQueue>(); }

}  // namespace bench
