// SPDX-License-Identifier: Apache-2.0
// nng push0 and pull0 over an abstract Unix address: every consumer listens, every producer dials all of them.
#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>

#include <algorithm>

#include "peers.hpp"

namespace bench {
namespace {

void check(int error) {
  if (error != 0) throw std::runtime_error(::nng_strerror(error));
}

std::string address(const Setup& setup, unsigned consumer) {
  return "abstract://" + setup.name + "-" + std::to_string(consumer);
}

class Sender {
 public:
  explicit Sender(const Setup& setup) {
    check(::nng_push0_open(&socket_));
    const auto objects = setup.capacity / std::max<std::size_t>(setup.largest, 1024);
    check(::nng_socket_set_int(socket_, NNG_OPT_SENDBUF, static_cast<int>(std::clamp<std::size_t>(objects, 1, 8192))));
    for (unsigned i = 0; i < setup.consumers; ++i) {
      check(::nng_dial(socket_, address(setup, i).c_str(), nullptr, NNG_FLAG_NONBLOCK));
    }
  }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;
  ~Sender() { ::nng_close(socket_); }
  void push(Payloads& payloads) {
    const std::span<const std::byte> payload = payloads.next();
    check(::nng_send(socket_, const_cast<std::byte*>(payload.data()), payload.size(), 0));
  }

 private:
  nng_socket socket_{};
};

class Receiver {
 public:
  explicit Receiver(const Setup& setup) : flags_(setup.spin ? NNG_FLAG_NONBLOCK : 0) {
    check(::nng_pull0_open(&socket_));
    check(::nng_socket_set_size(socket_, NNG_OPT_RECVMAXSZ, 0));
    int error = NNG_EADDRINUSE;  // as long as the one before is closing
    while ((error = ::nng_listen(socket_, address(setup, setup.index).c_str(), nullptr, 0)) == NNG_EADDRINUSE) continue;
    check(error);
  }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;
  ~Receiver() { ::nng_close(socket_); }
  template <class Consume>
  void pop(Consume&& consume) {
    nng_msg* object = nullptr;
    int error = NNG_EAGAIN;
    while ((error = ::nng_recvmsg(socket_, &object, flags_)) == NNG_EAGAIN) continue;
    check(error);
    consume(std::span(static_cast<const std::byte*>(::nng_msg_body(object)), ::nng_msg_len(object)));
    ::nng_msg_free(object);
  }

 private:
  nng_socket socket_{};
  int flags_;
};

class Nng final : public PeerOf<Sender, Receiver> {};

}  // namespace

std::unique_ptr<Peer> make_nng() { return std::make_unique<Nng>(); }

}  // namespace bench
