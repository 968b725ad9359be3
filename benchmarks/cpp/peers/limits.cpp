// SPDX-License-Identifier: Apache-2.0
// What this machine can do at all: a cache line and a semaphore from core to core, memcpy, sum, first touch.
#include <semaphore.h>

#include <atomic>
#include <cstring>
#include <vector>

#include "peers.hpp"
#include "shared_file.hpp"

namespace bench {
namespace {

struct alignas(64) Line {
  std::atomic<std::int64_t> number;  // of the objects that went through it
  std::int64_t payload;
  sem_t semaphore;
};

class LineEnd {
 public:
  explicit LineEnd(const Setup& setup) : line_(*reinterpret_cast<Line*>(map_shared(setup.name, sizeof(Line)))) {}

 protected:
  void put(Payloads& payloads) {
    std::memcpy(&line_.payload, payloads.next().data(), sizeof line_.payload);
    line_.number.store(++number_, std::memory_order_release);
  }
  void await() {
    ++number_;
    while (line_.number.load(std::memory_order_acquire) != number_) relax();
  }
  Line& line_;

 private:
  std::int64_t number_ = 0;
};

template <class Consume>
void consume_line(const Line& line, Consume&& consume) {
  consume(std::as_bytes(std::span(&line.payload, 1)));
}

struct LineSender : LineEnd {
  using LineEnd::LineEnd;
  void push(Payloads& payloads) { put(payloads); }
};

struct LineReceiver : LineEnd {
  using LineEnd::LineEnd;
  template <class Consume>
  void pop(Consume&& consume) {
    await();
    consume_line(line_, consume);
  }
};

struct SemaphoreSender : LineEnd {
  using LineEnd::LineEnd;
  void push(Payloads& payloads) {
    put(payloads);
    ::sem_post(&line_.semaphore);
  }
};

struct SemaphoreReceiver : LineEnd {
  using LineEnd::LineEnd;
  template <class Consume>
  void pop(Consume&& consume) {
    while (::sem_wait(&line_.semaphore) != 0) continue;
    consume_line(line_, consume);
  }
};

template <class Sender, class Receiver>
class LinePeer final : public PeerOf<Sender, Receiver> {
  void create(const Setup& setup) const override {
    auto* line = reinterpret_cast<Line*>(map_shared(setup.name, sizeof(Line)));
    ::sem_init(&line->semaphore, 1, 0);
  }
  void remove(const Setup& setup) const noexcept override { unlink_shared(setup.name); }
};

// One worker alone, whose bytes are counted.
template <class Loop>
class AloneOf final : public Peer {
 public:
  void work(const Task& task) const override {
    for (Loop loop(task.sizes.most);;) {
      task.meter.bytes += task.sizes.most;
      task.meter.sum += loop.step();
      publish(task.meter.objects, task.meter.objects + 1);
    }
  }
};

struct Memcpy {
  explicit Memcpy(std::size_t size) : from(size, std::byte{1}), to(size, std::byte{2}) {}
  std::uint64_t step() {
    std::memcpy(to.data(), from.data(), to.size());
    return static_cast<std::uint64_t>(*const_cast<volatile std::byte*>(to.data()));
  }
  std::vector<std::byte> from, to;
};

struct Sum {
  explicit Sum(std::size_t size) : bytes(size, std::byte{1}) {}
  std::uint64_t step() const { return sum(bytes); }
  std::vector<std::byte> bytes;
};

struct FirstTouch {
  explicit FirstTouch(std::size_t bytes) : size(bytes) {}
  std::uint64_t step() const {
    constexpr std::size_t kPage = 4096;
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
    for (std::size_t at = 0; at < size; at += kPage) static_cast<volatile std::byte*>(memory)[at] = std::byte{1};
    ::munmap(memory, size);
    return size;
  }
  std::size_t size;
};

}  // namespace

std::unique_ptr<Peer> make_cache_line() { return std::make_unique<LinePeer<LineSender, LineReceiver>>(); }
std::unique_ptr<Peer> make_semaphore() { return std::make_unique<LinePeer<SemaphoreSender, SemaphoreReceiver>>(); }
std::unique_ptr<Peer> make_memcpy() { return std::make_unique<AloneOf<Memcpy>>(); }
std::unique_ptr<Peer> make_sum() { return std::make_unique<AloneOf<Sum>>(); }
std::unique_ptr<Peer> make_first_touch() { return std::make_unique<AloneOf<FirstTouch>>(); }

}  // namespace bench
