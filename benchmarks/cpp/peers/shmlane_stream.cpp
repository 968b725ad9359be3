// SPDX-License-Identifier: Apache-2.0
// shmlane's streams and tensors: one worker alone that writes, reads or attaches, a writer that is observed, and a stream as
// the way of a ping-pong. Beside them what a locked add costs, in whose units the goals are.
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <optional>
#include <vector>

#include "peers.hpp"
#include "shmlane/stream.hpp"
#include "shmlane/tensor.hpp"

namespace bench {
namespace {

using shmlane::DType;
using shmlane::Stream;
using shmlane::Tensor;

constexpr unsigned kSteps = 64;  // between two looks of the driver
constexpr std::int64_t kReaderPause = 1'000'000;

shmlane::Dims bytes_of(const Setup& setup) { return {static_cast<std::int64_t>(setup.largest)}; }

class StreamPeer : public Peer {
  void create(const Setup& setup) const override {
    Stream::create(setup.name, DType("|u1"), bytes_of(setup)).write(std::vector<std::uint8_t>(setup.largest, 1));
  }
  void remove(const Setup& setup) const noexcept override { shmlane::unlink_stream(setup.name); }
};

template <class Loop>
class Steps final : public StreamPeer {
 public:
  void work(const Task& task) const override {
    for (Loop loop(task.setup);;) {
      for (unsigned i = 0; i < kSteps; ++i) loop.step();
      task.meter.bytes += kSteps * task.setup.largest;
      publish(task.meter.objects, task.meter.objects + kSteps);
    }
  }
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

// On another core somebody reads a thousand times a second.
struct ObservedWrite : Write {
  explicit ObservedWrite(const Setup& setup) : Write(setup) {
    if (::fork() != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    settle(1);
    for (Read reader(setup);; pause_for(kReaderPause)) reader.step();
  }
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
      : stream_(Stream::open(setup.name, {.spin = setup.spin ? std::optional(std::chrono::hours(1)) : std::nullopt})),
        value_(setup.largest),
        count_(1) {}
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
std::unique_ptr<Peer> make_stream_write() { return std::make_unique<Steps<Write>>(); }
std::unique_ptr<Peer> make_stream_read() { return std::make_unique<Steps<Read>>(); }
std::unique_ptr<Peer> make_stream_observed() { return std::make_unique<Steps<ObservedWrite>>(); }
std::unique_ptr<Peer> make_locked_add() { return std::make_unique<Steps<LockedAdd>>(); }
std::unique_ptr<Peer> make_attach_tensor() { return std::make_unique<AttachTensor>(); }

}  // namespace bench
