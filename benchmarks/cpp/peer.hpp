// SPDX-License-Identifier: Apache-2.0
// What a peer must offer to be measured: a Sender and a Receiver; PeerOf makes all roles of workers from them.
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include "board.hpp"
#include "workload.hpp"

namespace bench {

struct Setup {
  std::string name;  // unique to this run
  std::size_t capacity = std::size_t{32} << 20;
  std::size_t largest = 64;  // bytes of the largest payload
  unsigned producers = 1, consumers = 1;
  unsigned index = 0;     // which of the producers, or of the consumers, this worker is
  unsigned batch = 1;     // objects per call, where the peer has batches
  bool in_place = false;  // fill a reservation instead of copying from a payload of one's own
  bool popped = false;    // take a copy of each object instead of a look where it lies
  bool spin = false;      // ask again instead of sleeping, where the peer can
  bool sleep = false;     // sleep at once, where the peer spins first
};

// What one worker does. Roles: produce, consume; ping, pong; pace, stamp; hush; attach; keep-sender, keep-receiver. All of them are endless: the
// driver samples the board, and kills.
struct Task {
  std::string role;
  Setup setup;
  Setup back;  // the way back of a ping
  Sizes sizes;
  std::int64_t pause_ns = 0;  // of pace, before each burst
  unsigned burst = 1;         // objects between two pauses; only the last of them is timed
  Meter& meter;
  Times& times;
};

class Peer {
 public:
  virtual ~Peer() = default;
  // In the process that starts the workers: makes what must be there before them; removes what they leave.
  virtual void create(const Setup&) const {}
  virtual void remove(const Setup&) const noexcept {}
  virtual void work(const Task& task) const = 0;
};

// Sender::push(payloads) sends the next payload, or a batch; Receiver::pop(consume) calls consume(bytes) for what came.
template <class Sender, class Receiver>
class PeerOf : public Peer {
 public:
  void work(const Task& task) const override {
    if (task.role == "produce") return produce(task);
    if (task.role == "consume") return consume(task);
    if (task.role == "ping") return ping(task);
    if (task.role == "pong") return pong(task);
    if (task.role == "pace") return pace(task);
    if (task.role == "stamp") return stamp(task);
    if (task.role == "hush") return hush(task);
    if (task.role == "attach") return attach(task);
    if (task.role == "keep-sender") return keep<Sender>(task);
    if (task.role == "keep-receiver") return keep<Receiver>(task);
    throw std::invalid_argument("there is no role " + task.role);
  }

 private:
  static void produce(const Task& task) {
    Payloads payloads(task.sizes, task.setup.index + 1);
    Sender sender(task.setup);
    for (;;) {
      sender.push(payloads);
      publish(task.meter.objects, task.meter.objects + 1);
    }
  }
  static void consume(const Task& task) {
    Receiver receiver(task.setup);
    for (;;) receiver.pop([&](std::span<const std::byte> payload) { count(task.meter, payload); });
  }

  // Sends one object away and waits for it to come back. One look at the clock per round: what it costs is in the round.
  static void ping(const Task& task) {
    Receiver receiver(task.back);
    Sender sender(task.setup);
    Payloads payloads(task.sizes, 1);
    const auto round = [&] {
      sender.push(payloads);
      receiver.pop([](std::span<const std::byte>) {});
    };
    round();
    for (std::int64_t before = now_ns();;) {
      round();
      const std::int64_t now = now_ns();
      record(task.times, (now - before) / 2);
      before = now;
    }
  }
  static void pong(const Task& task) {
    Receiver receiver(task.setup);
    Sender sender(task.back);
    Payloads payloads(task.sizes, 1);
    for (;;) {
      receiver.pop([](std::span<const std::byte>) {});
      sender.push(payloads);
    }
  }

  // Sends a burst now and then, with the time at which it began; the other side times the arrival of the last of it.
  static void pace(const Task& task) {
    Payloads payloads(task.sizes, 1);
    Sender sender(task.setup);
    for (;;) {
      pause_for(task.pause_ns);
      payloads.stamp(now_ns());
      for (unsigned i = 0; i < task.burst; ++i) sender.push(payloads);
    }
  }
  static void stamp(const Task& task) {
    Receiver receiver(task.setup);
    for (std::uint64_t arrived = 1;; ++arrived) {
      receiver.pop([&](std::span<const std::byte> payload) {
        const std::int64_t now = now_ns();
        std::int64_t sent = 0;
        std::memcpy(&sent, payload.data(), sizeof sent);
        count(task.meter, payload);
        if (arrived % task.burst == 0) record(task.times, now - sent);
      });
    }
  }

  // Sends one object, so that the other side has seen it work, and then nothing.
  static void hush(const Task& task) {
    Payloads payloads(task.sizes, 1);
    Sender sender(task.setup);
    sender.push(payloads);
    for (;;) pause_for(1'000'000'000);
  }

  // Is there, and does nothing.
  template <class End>
  static void keep(const Task& task) {
    End end(task.setup);
    for (;;) pause_for(1'000'000'000);
  }

  // Times creating (the first of each two) and attaching, over and over.
  void attach(const Task& task) const {
    for (;;) {
      remove(task.setup);
      const std::int64_t begin = now_ns();
      create(task.setup);
      {
        Receiver receiver(task.setup);
        const std::int64_t created = now_ns();
        Sender sender(task.setup);
        record(task.times, created - begin);
        record(task.times, now_ns() - created);
      }
    }
  }
};

// Every peer that this build has, by name.
struct NamedPeer {
  const char* name;
  std::unique_ptr<Peer> (*make)();
};
std::span<const NamedPeer> all_peers();
std::unique_ptr<Peer> make_peer(const std::string& name);

}  // namespace bench
