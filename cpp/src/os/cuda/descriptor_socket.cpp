// SPDX-License-Identifier: Apache-2.0
// Sequenced-packet sockets: a question is one packet, its answer another, which carries the descriptor.
#include "os/cuda/descriptor_socket.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "shmlane/error.hpp"

namespace shmlane::os::cuda {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kQueued = 64;
constexpr int kPatienceMs = 1000;  // with one of the same user
constexpr int kImpatienceMs = 20;  // with one of another user: it asks as soon as it is connected, or never
constexpr std::chrono::milliseconds kSlice{100};

// The listening socket of this process, for its forked children to close: else the name would outlive their parent.
std::atomic<int> listening{-1};

void forget_in_forked_child() {
  if (const int socket = listening.exchange(-1); socket >= 0) ::close(socket);
}

[[noreturn]] void fail(const std::string& what) {
  throw DeviceFailed("memory of a GPU could not be handed over: " + what + " (" +
                     std::error_code(errno, std::generic_category()).message() + ")");
}

struct Address {
  explicit Address(const std::string& name) {
    all.sun_family = AF_UNIX;
    const std::size_t length = std::min(name.size(), sizeof all.sun_path - 1);
    std::memcpy(all.sun_path + 1, name.data(), length);  // the zero before it makes it abstract
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length);
  }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&all); }
  sockaddr_un all{};
  socklen_t size;
};

Descriptor make_socket(int flags) {
  Descriptor made(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0));
  if (!made) fail("there is no Unix socket to be had");
  return made;
}

bool readable(int fd, int timeout_ms) noexcept {
  pollfd waiting{fd, POLLIN, 0};
  return ::poll(&waiting, 1, timeout_ms) > 0;
}

// A packet's one part, with room for a descriptor beside it.
struct Packet {
  explicit Packet(std::span<std::byte> text) : part{text.data(), text.size()} {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = room.data();
    header.msg_controllen = room.size();
  }
  iovec part;
  msghdr header{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> room{};
};

Descriptor descriptor_in(const Packet& packet) noexcept {
  const cmsghdr* const control = CMSG_FIRSTHDR(&packet.header);
  if (control == nullptr || control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS ||
      control->cmsg_len != CMSG_LEN(sizeof(int))) {
    return Descriptor();
  }
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(control), sizeof fd);
  return Descriptor(fd);
}

// Time that is left, spent in slices between which `meanwhile` has its say.
class Wait {
 public:
  Wait(std::chrono::nanoseconds timeout, const std::function<void()>& meanwhile)
      : end_(Clock::now() + timeout), meanwhile_(&meanwhile) {}
  void pass(const char* what) const {
    if (*meanwhile_) (*meanwhile_)();
    if (Clock::now() < end_) return;
    errno = ETIMEDOUT;
    fail(what);
  }

 private:
  Clock::time_point end_;
  const std::function<void()>* meanwhile_;
};

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

bool Question::read(std::span<std::byte> text) const noexcept {
  ucred peer{};
  socklen_t size = sizeof peer;
  const bool known = ::getsockopt(connection_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  const bool ours = known && (peer.uid == ::geteuid() || peer.uid == 0);
  if (!readable(connection_.get(), ours ? kPatienceMs : kImpatienceMs)) return false;
  const ssize_t got = ::recv(connection_.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_TRUNC);
  return got >= 0 && static_cast<std::size_t>(got) == text.size();
}

void Question::answer(std::span<const std::byte> text, int descriptor) const noexcept {
  Packet packet({const_cast<std::byte*>(text.data()), text.size()});
  cmsghdr* const control = CMSG_FIRSTHDR(&packet.header);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(control), &descriptor, sizeof descriptor);
  // Who asked may be gone: its own affair.
  static_cast<void>(::sendmsg(connection_.get(), &packet.header, MSG_NOSIGNAL | MSG_DONTWAIT));
}

Listener::Listener(const std::string& name) : socket_(make_socket(0)) {
  static const int registered = ::pthread_atfork(nullptr, nullptr, forget_in_forked_child);
  static_cast<void>(registered);
  const Address address(name);
  if (::bind(socket_.get(), address.get(), address.size) != 0) fail("no name for a Unix socket");
  if (::listen(socket_.get(), kQueued) != 0) fail("nobody can listen on a Unix socket");
  listening = socket_.get();
}

Listener::~Listener() { listening = -1; }

std::optional<Question> Listener::next() const noexcept {
  for (;;) {
    Descriptor connection(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (connection) return Question(std::move(connection));
    if (errno == EINVAL || errno == EBADF) return std::nullopt;
    // Out of descriptors, say: who asks tries again.
    if (errno != EINTR) std::this_thread::sleep_for(kSlice);
  }
}

void Listener::stop() const noexcept { ::shutdown(socket_.get(), SHUT_RDWR); }

std::thread start_without_signals(std::function<void()> work) {
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread started(std::move(work));
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return started;
  } catch (const std::system_error& error) {
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    errno = error.code().value();
    fail("no thread is to be had");
  }
}

Descriptor ask(const std::string& name, std::span<const std::byte> question, std::span<std::byte> answer,
               std::chrono::nanoseconds timeout, const std::function<void()>& meanwhile) {
  const Wait wait(timeout, meanwhile);
  const Descriptor connection = make_socket(SOCK_NONBLOCK);
  const Address address(name);
  while (::connect(connection.get(), address.get(), address.size) != 0) {
    // EAGAIN: more ask than can queue there.
    if (errno != EINTR && errno != EAGAIN) fail("its exporter does not listen, or in another network namespace");
    wait.pass("too many others ask its exporter");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (::send(connection.get(), question.data(), question.size(), MSG_NOSIGNAL) < 0) fail("its exporter hung up");
  while (!readable(connection.get(), static_cast<int>(kSlice.count()))) {
    wait.pass("its exporter does not answer; is it stopped?");
  }
  Packet packet(answer);
  const ssize_t got = ::recvmsg(connection.get(), &packet.header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  Descriptor found = got > 0 ? descriptor_in(packet) : Descriptor();
  if (!found || static_cast<std::size_t>(got) != answer.size()) {
    if (got >= 0) errno = (packet.header.msg_flags & MSG_CTRUNC) != 0 ? EMFILE : EACCES;
    fail("its exporter gave no answer");
  }
  return found;
}

}  // namespace shmlane::os::cuda
