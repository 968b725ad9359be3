// SPDX-License-Identifier: Apache-2.0
// A producer or consumer that may be killed at any moment and has written down what it did; worker.py is its twin.
//
// Everybody owns a ledger, a file that the soak maps, too: four words, and a consumer's records from byte 64 on.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "shmlane/codecs.hpp"
#include "shmlane/queue.hpp"

namespace {

using Word = std::uint64_t;
using Bytes = std::span<const std::byte>;

constexpr const char* kMetadata = R"({"type":"bytes"})";
constexpr std::size_t kBatch = 8;

struct Stop {};  // thrown out of a wait when the soak asks for an orderly end
volatile std::sig_atomic_t stopping = 0;

void throw_if_stopping() {
  if (stopping != 0) throw Stop{};
}

struct Record {
  std::uint32_t producer, sequence, attempt, unused;
};

struct Page {
  std::atomic<Word> done;      // producer: objects surely committed; consumer: records written
  std::atomic<Word> started;   // producer: objects that may be committed
  std::atomic<Word> moved_ns;  // when `done` grew last
  std::atomic<Word> finish;    // set by the soak: leave at the end of stream
  Word unused[4];
  Record records[1];
};

class Ledger {
 public:
  explicit Ledger(const char* path) {
    const int fd = ::open(path, O_RDWR | O_CLOEXEC);
    struct stat status {};
    if (fd < 0 || ::fstat(fd, &status) != 0) throw std::runtime_error("no ledger");
    size_ = static_cast<std::size_t>(status.st_size);
    void* memory = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    if (memory == MAP_FAILED) throw std::runtime_error("cannot map the ledger");
    page_ = static_cast<Page*>(memory);
  }
  void start(Word objects) { page_->started.store(objects); }
  void finish(Word objects) {
    page_->done.store(objects);
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    page_->moved_ns.store(static_cast<Word>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count()));
  }
  void record(const Record& record) {
    const Word count = page_->done.load();
    page_->records[count] = record;
    finish(count + 1);
  }
  [[nodiscard]] bool nearly_full() const {
    return offsetof(Page, records) + (page_->done.load() + 2 * kBatch) * sizeof(Record) > size_;
  }
  [[nodiscard]] bool asked_to_finish() const { return page_->finish.load() != 0; }

 private:
  Page* page_;
  std::size_t size_;
};

struct Stamp {
  Word producer, sequence;
  [[nodiscard]] Word word() const { return producer << 32 | sequence; }
  [[nodiscard]] Word size(Word max_size) const {
    return 16 + (word() * 0x9e3779b97f4a7c15 >> 40) % ((max_size - 16) / 8 + 1) * 8;
  }
};

// Words 0 and 1 are stamp and size; all others follow from them.
void fill(const Stamp& stamp, std::span<std::byte> out) {
  const Word size = out.size(), word = stamp.word(), seed = word * 0x2545f4914f6cdd1d + size;
  auto* words = reinterpret_cast<Word*>(out.data());
  words[0] = word;
  words[1] = size;
  for (std::size_t i = 2; i < size / 8; ++i) words[i] = seed + i * 0x9e3779b97f4a7c15;
}

Stamp check(Bytes found) {
  const auto* words = reinterpret_cast<const Word*>(found.data());
  if (found.size() < 16 || words[1] != found.size()) throw std::runtime_error("an object has a wrong size");
  const Word seed = words[0] * 0x2545f4914f6cdd1d + found.size();
  Word wrong = 0;
  for (std::size_t i = 2; i < found.size() / 8; ++i) wrong |= words[i] ^ (seed + i * 0x9e3779b97f4a7c15);
  if (wrong != 0) throw std::runtime_error("an object is torn");
  return {words[0] >> 32, words[0] & 0xffffffff};
}

struct Task {
  std::string queue;
  Word number;    // of this worker: says who pushed what
  Word max_size;  // producer: bytes of the largest object; consumer: deliveries of one object in all
};

Word push_batch(shmlane::Producer& tx, const std::vector<Stamp>& stamps, Word max_size) {
  std::vector<shmlane::Producer::Outgoing> frames;
  frames.reserve(stamps.size());
  for (const Stamp& stamp : stamps) {
    frames.push_back({kMetadata, stamp.size(max_size), &stamp, [](const void* source, std::span<std::byte> out) {
                        fill(*static_cast<const Stamp*>(source), out);
                      }});
  }
  return tx.push_frames(frames, shmlane::forever);
}

void push_reserved(shmlane::Producer& tx, const Stamp& stamp, Word max_size) {
  if (stamp.sequence % 16 == 0) tx.reserve(kMetadata, 100)->abort();
  auto place = tx.reserve(kMetadata, stamp.size(max_size));
  fill(stamp, place->payload());
  place->commit();
}

void produce(const Task& task, Ledger& ledger) {
  const shmlane::ProducerOptions options{
      {.stale = shmlane::Stale::kKeep, .unlink = false, .interrupt_check = throw_if_stopping},
      shmlane::Policy::kBlock,
      shmlane::forever};
  shmlane::Producer tx(task.queue, options);
  for (Word done = 0; stopping == 0;) {
    std::vector<Stamp> stamps;
    for (Word i = 0; i < (task.number % 2 == 0 ? kBatch : 1); ++i) stamps.push_back({task.number, done + i});
    ledger.start(done + stamps.size());
    if (stamps.size() > 1) {
      done += push_batch(tx, stamps, task.max_size);
    } else {
      push_reserved(tx, stamps[0], task.max_size);
      ++done;
    }
    ledger.finish(done);
  }
}

void consume(const Task& task, Ledger& ledger) {
  const shmlane::ConsumerOptions options{
      {.stale = shmlane::Stale::kKeep, .unlink = false, .interrupt_check = throw_if_stopping},
      shmlane::wire::OnDeath::kRedeliver,
      static_cast<unsigned>(task.max_size)};
  shmlane::Consumer rx(task.queue, options);
  while (stopping == 0 && !ledger.nearly_full()) {
    std::vector<shmlane::Lease> leases = rx.acquire_many(task.number % 2 == 0 ? kBatch : 1);
    for (shmlane::Lease& lease : leases) {
      const Stamp stamp = check(lease.payload());
      ledger.record(
          {static_cast<std::uint32_t>(stamp.producer), static_cast<std::uint32_t>(stamp.sequence), lease.attempt(), 0});
      lease.release();
    }
    if (!leases.empty()) continue;
    if (ledger.asked_to_finish()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

int main(int count, char** words) {
  std::signal(SIGTERM, [](int) { stopping = 1; });
  std::signal(SIGUSR1, [](int) { ::_exit(3); });
  if (count != 6) {
    std::cerr << "usage: worker produce QUEUE LEDGER NUMBER MAX-SIZE | consume QUEUE LEDGER NUMBER MAX-ATTEMPTS\n";
    return 2;
  }
  try {
    Ledger ledger(words[3]);
    const Task task{words[2], std::stoull(words[4]), std::stoull(words[5])};
    (std::string_view(words[1]) == "produce" ? produce : consume)(task, ledger);
  } catch (const Stop&) {
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "worker: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
