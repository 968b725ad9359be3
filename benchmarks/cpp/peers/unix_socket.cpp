// SPDX-License-Identifier: Apache-2.0
// A Unix stream socket with the plainest framing, one to one.
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>

#include "byte_stream.hpp"
#include "peers.hpp"

namespace bench {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {
    if (fd_ < 0) throw std::runtime_error(std::strerror(errno));
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(fd_); }
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

int open_socket() { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); }

// Calls bind or connect with an abstract address, which leaves no file behind.
template <class Call>
int with_address(const Setup& setup, Call&& call) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  setup.name.copy(address.sun_path + 1, sizeof address.sun_path - 1);
  return call(reinterpret_cast<const sockaddr*>(&address),
              static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + setup.name.size()));
}

class Sender {
 public:
  explicit Sender(const Setup& setup) : socket_(open_socket()) {
    const int buffer = 1 << 20;  // the kernel cuts it to what an ordinary user may have
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    while (with_address(setup, [&](auto* at, auto size) { return ::connect(socket_.get(), at, size); }) != 0) {
      pause_for(1'000'000);
    }
  }
  void push(Payloads& payloads) { write_framed(socket_.get(), payloads.next()); }

 private:
  Descriptor socket_;
};

class Receiver {
 public:
  explicit Receiver(const Setup& setup)
      : listener_(open_socket()), reader_(setup.largest, setup.spin), spin_(setup.spin) {
    if (with_address(setup, [&](auto* at, auto size) { return ::bind(listener_.get(), at, size); }) != 0 ||
        ::listen(listener_.get(), 1) != 0) {
      throw std::runtime_error(std::strerror(errno));
    }
  }
  template <class Consume>
  void pop(Consume&& consume) {
    if (!socket_) {
      socket_ = std::make_unique<Descriptor>(::accept(listener_.get(), nullptr, nullptr));
      if (spin_) ::fcntl(socket_->get(), F_SETFL, O_NONBLOCK);
    }
    consume(reader_.next(socket_->get()));
  }

 private:
  Descriptor listener_;
  std::unique_ptr<Descriptor> socket_;
  FramedReader reader_;
  bool spin_;
};

class UnixSocket final : public PeerOf<Sender, Receiver> {};

}  // namespace

std::unique_ptr<Peer> make_unix_socket() { return std::make_unique<UnixSocket>(); }

}  // namespace bench
