// SPDX-License-Identifier: Apache-2.0
// A pipe with the plainest framing, written by writev, and shmlane's stdio transport over a pipe of the same kind.
#include <sys/stat.h>

#include "byte_stream.hpp"
#include "peers.hpp"
#include "shmlane/stdio.hpp"

namespace bench {
namespace {

class PipeSender {
 public:
  explicit PipeSender(const Setup& setup) : pipe_(setup) {}
  void push(Payloads& payloads) { write_framed(pipe_.fd(), payloads.next()); }

 private:
  NamedPipe pipe_;
};

class PipeReceiver {
 public:
  explicit PipeReceiver(const Setup& setup)
      : pipe_(setup, setup.spin ? O_NONBLOCK : 0), reader_(setup.largest, setup.spin) {}
  template <class Consume>
  void pop(Consume&& consume) {
    consume(reader_.next(pipe_.fd()));
  }

 private:
  NamedPipe pipe_;
  FramedReader reader_;
};

class StdioSender {
 public:
  explicit StdioSender(const Setup& setup) : pipe_(setup), producer_(pipe_.fd()) {}
  void push(Payloads& payloads) { producer_.write({R"({"type":"bytes"})", payloads.next()}); }

 private:
  NamedPipe pipe_;
  shmlane::StdioProducer producer_;
};

class StdioReceiver {
 public:
  explicit StdioReceiver(const Setup& setup) : pipe_(setup), consumer_(pipe_.fd()) {}
  template <class Consume>
  void pop(Consume&& consume) {
    const auto object = consumer_.pop();
    consume(object->payload());
  }

 private:
  NamedPipe pipe_;
  shmlane::StdioConsumer consumer_;
};

template <class Sender, class Receiver>
class OverPipe final : public PeerOf<Sender, Receiver> {
  void create(const Setup& setup) const override {
    if (::mkfifo(NamedPipe::path(setup).c_str(), 0600) != 0) throw std::runtime_error("mkfifo failed");
  }
  void remove(const Setup& setup) const noexcept override { ::unlink(NamedPipe::path(setup).c_str()); }
};

}  // namespace

std::unique_ptr<Peer> make_pipe() { return std::make_unique<OverPipe<PipeSender, PipeReceiver>>(); }
std::unique_ptr<Peer> make_stdio() { return std::make_unique<OverPipe<StdioSender, StdioReceiver>>(); }

}  // namespace bench
