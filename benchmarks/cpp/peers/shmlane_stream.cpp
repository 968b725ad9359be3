// SPDX-License-Identifier: Apache-2.0
// shmlane's streams and tensors: one worker alone that writes, reads or attaches, a writer that is observed, and a stream as
// the way of a ping-pong. Beside them what a locked add costs, in whose units some goals are.
#include <atomic>
#include <optional>
#include <vector>

#include "alone.hpp"
#include "peers.hpp"
#include "shmlane/stream.hpp"
#include "shmlane/tensor.hpp"

namespace bench {
namespace {

using shmlane::DType;
using shmlane::Stream;
using shmlane::Tensor;

shmlane::Dims bytes_of(const Setup& setup) { return {static_cast<std::int64_t>(setup.largest)}; }

class StreamPeer : public Peer {
  void create(const Setup& setup) const override {
    Stream::create(setup.name, DType("|u1"), bytes_of(setup)).write(std::vector<std::uint8_t>(setup.largest, 1));
  }
  void remove(const Setup& setup) const noexcept override { shmlane::unlink_stream(setup.name); }
};

struct Write {
  explicit Write(const Setup& setup) : stream(Stream::open(setup.name)), value(setup.largest, 2) {}
  void step() { stream.write(std::as_bytes(std::span(value))); }
  Stream stream;
  std::vector<std::uint8_t> value;
};

struct Read {
  explicit Read(const Setup& setup) : stream(Stream::open(setup.name)), value(setup.largest) {}
  void step() { stream.read(std::as_writable_bytes(std::span(value))); }
  Stream stream;
  std::vector<std::uint8_t> value;
};

struct LockedAdd {
  explicit LockedAdd(const Setup&) {}
  void step() noexcept { number.fetch_add(1); }
  std::atomic<std::uint64_t> number{0};
};

class AttachTensor final : public Peer {
 public:
  void create(const Setup& setup) const override { Tensor::create(setup.name, DType("|u1"), bytes_of(setup)); }
  void remove(const Setup& setup) const noexcept override { shmlane::unlink_tensor(setup.name); }
  void work(const Task& task) const override {
    for (;;) {
      const std::int64_t begin = now_ns();
      std::optional<Tensor> tensor = Tensor::attach(task.setup.name);
      record(task.times, now_ns() - begin);
      tensor.reset();
      publish(task.meter.objects, task.meter.objects + 1);
    }
  }
};

std::optional<std::chrono::nanoseconds> spin_of(const Setup& setup) {
  if (setup.spin) return std::chrono::hours(1);
  return setup.sleep ? std::optional(std::chrono::nanoseconds(0)) : std::nullopt;
}

class Sender {
 public:
  explicit Sender(const Setup& setup) : stream_(Stream::open(setup.name)) {}
  void push(Payloads& payloads) { stream_.write(payloads.next()); }

 private:
  Stream stream_;
};

class Receiver {
 public:
  explicit Receiver(const Setup& setup)
      : stream_(Stream::open(setup.name, {.spin = spin_of(setup)})), value_(setup.largest), count_(1) {}
  template <class Consume>
  void pop(Consume&& consume) {
    count_ = stream_.read_after(count_, value_).value();
    consume(value_);
  }

 private:
  Stream stream_;
  std::vector<std::byte> value_;
  std::uint64_t count_;
};

class PingPong final : public PeerOf<Sender, Receiver> {
  void create(const Setup& setup) const override { Stream::create(setup.name, DType("|u1"), bytes_of(setup)).clear(); }
  void remove(const Setup& setup) const noexcept override { shmlane::unlink_stream(setup.name); }
};

}  // namespace

std::unique_ptr<Peer> make_stream() { return std::make_unique<PingPong>(); }
std::unique_ptr<Peer> make_stream_write() { return std::make_unique<AloneOn<Write, StreamPeer>>(); }
std::unique_ptr<Peer> make_stream_read() { return std::make_unique<AloneOn<Read, StreamPeer>>(); }
std::unique_ptr<Peer> make_stream_observed() { return std::make_unique<Observed<Write, Read, StreamPeer>>(); }
std::unique_ptr<Peer> make_locked_add() { return std::make_unique<AloneOn<LockedAdd, StreamPeer>>(); }
std::unique_ptr<Peer> make_attach_tensor() { return std::make_unique<AttachTensor>(); }

}  // namespace bench
