// SPDX-License-Identifier: Apache-2.0
// Both ends of a queue in one thread, for callgrind: what pushes and takes cost when nobody is in the way.
#include <valgrind/callgrind.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include "shmlane/codecs.hpp"
#include "shmlane/queue.hpp"

namespace {

using Bytes = std::span<const std::byte>;
constexpr unsigned kBatch = 64;

class Pair {
 public:
  explicit Pair(const std::string& name) : rx_(name, {{.capacity = kCapacity}}), tx_(name, {{.capacity = kCapacity}}) {}
  void push() { tx_.push(Bytes(payload_)); }
  void acquire() { seen_ += rx_.acquire()->payload().size(); }
  void pop() { seen_ += rx_.pop()->payload().size(); }
  void push_batch() { tx_.push_many(std::span<const Bytes>(batch_)); }
  void acquire_batch() { seen_ += rx_.acquire_batch(kBatch).size(); }

 private:
  static constexpr std::size_t kCapacity = 8 << 20;
  std::vector<std::byte> payload_ = std::vector<std::byte>(64);
  std::vector<Bytes> batch_ = std::vector<Bytes>(kBatch, Bytes(payload_));
  std::size_t seen_ = 0;
  shmlane::Consumer rx_;
  shmlane::Producer tx_;
};

// Runs the rounds twice; the first time is to warm up, only the second is counted.
void count(const char* name, int rounds, const std::function<void()>& round) {
  for (int i = 0; i < rounds; ++i) round();
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
  for (int i = 0; i < rounds; ++i) round();
  CALLGRIND_DUMP_STATS_AT(name);
  CALLGRIND_STOP_INSTRUMENTATION;
}

}  // namespace

// Usage: shmlane_budget QUEUE ROUNDS
int main(int words, char** word) {
  if (words != 3) return 2;
  const int rounds = std::atoi(word[2]);
  Pair pair(word[1]);
  count("push + acquire + release", rounds, [&] {
    pair.push();
    pair.acquire();
  });
  count("push + pop", rounds, [&] {
    pair.push();
    pair.pop();
  });
  count("push of 64 + acquire of 64", rounds, [&] {
    pair.push_batch();
    pair.acquire_batch();
  });
  // No take in between: the ring has room for both times.
  count("push", rounds, [&] { pair.push(); });
  count("acquire + release", rounds, [&] { pair.acquire(); });
  return 0;
}
