// SPDX-License-Identifier: Apache-2.0
// ZeroMQ PUSH and PULL over ipc: every consumer has an address, every producer connects to all of them.
#include <zmq.h>

#include <algorithm>

#include "peers.hpp"

namespace bench {
namespace {

class Socket {
 public:
  Socket(const Setup& setup, int type, int limit) : context_(::zmq_ctx_new()), socket_(::zmq_socket(context_, type)) {
    // Its queues are limited by numbers of objects: half of what the capacity holds on either side.
    const auto objects = setup.capacity / 2 / std::max<std::size_t>(setup.largest, 1024);
    const int held = static_cast<int>(std::clamp<std::size_t>(objects, 2, 100'000));
    const int linger = 0;
    ::zmq_setsockopt(socket_, limit, &held, sizeof held);
    ::zmq_setsockopt(socket_, ZMQ_LINGER, &linger, sizeof linger);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() {
    ::zmq_close(socket_);
    ::zmq_ctx_term(context_);
  }

 protected:
  static std::string address(const Setup& setup, unsigned consumer) {
    return "ipc://@" + setup.name + "-" + std::to_string(consumer);
  }
  static void check(int result) {
    if (result < 0) throw std::runtime_error(::zmq_strerror(::zmq_errno()));
  }
  void* context_;
  void* socket_;
};

class Sender : public Socket {
 public:
  explicit Sender(const Setup& setup) : Socket(setup, ZMQ_PUSH, ZMQ_SNDHWM) {
    for (unsigned i = 0; i < setup.consumers; ++i) check(::zmq_connect(socket_, address(setup, i).c_str()));
  }
  void push(Payloads& payloads) {
    const std::span<const std::byte> payload = payloads.next();
    check(::zmq_send(socket_, payload.data(), payload.size(), 0));
  }
};

class Receiver : public Socket {
 public:
  explicit Receiver(const Setup& setup) : Socket(setup, ZMQ_PULL, ZMQ_RCVHWM), flags_(setup.spin ? ZMQ_DONTWAIT : 0) {
    check(::zmq_bind(socket_, address(setup, setup.index).c_str()));
    ::zmq_msg_init(&object_);
  }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;
  ~Receiver() { ::zmq_msg_close(&object_); }
  template <class Consume>
  void pop(Consume&& consume) {
    while (::zmq_msg_recv(&object_, socket_, flags_) < 0) {
      if (::zmq_errno() != EAGAIN) check(-1);
    }
    consume(std::span(static_cast<const std::byte*>(::zmq_msg_data(&object_)), ::zmq_msg_size(&object_)));
  }

 private:
  int flags_;
  zmq_msg_t object_;
};

class Zeromq final : public PeerOf<Sender, Receiver> {};

}  // namespace

std::unique_ptr<Peer> make_zeromq() { return std::make_unique<Zeromq>(); }

}  // namespace bench
