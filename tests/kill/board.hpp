// SPDX-License-Identifier: Apache-2.0
// What every process of a kill test tells about each object, in memory that they share, and what must be true of it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "shmlane/queue.hpp"
#include "support/payloads.hpp"

namespace kill_tests {

using Flag = std::atomic<std::uint8_t>;

// Who may push: the first three are processes of the test, the others stand for a victim and who died before it.
enum Pusher : std::uint32_t { kSurvivor, kNewcomer, kVictim, kPredecessor, kPushers };
inline constexpr std::uint32_t kObjects = 64;  // of one pusher at most

enum class Stage : std::uint8_t { kPrepare, kSurvivors, kNewcomers, kEnd, kLeave };

struct Board {
  struct Entry {
    Flag tried;      // its push has begun
    Flag committed;  // its push came back
    Flag forbidden;  // given back by its producer: nobody may see it
    Flag first;      // deliveries with attempt 0
    Flag again;      // deliveries with a higher one
  };
  std::array<std::array<Entry, kObjects>, kPushers> objects{};
  std::array<std::atomic<std::uint32_t>, kPushers> tried{};  // how many of each were
  std::atomic<Stage> stage{Stage::kPrepare};
  std::atomic<unsigned> ready{0};    // processes that have attached
  std::atomic<unsigned> ended{0};    // consumers that have seen the end of stream
  std::atomic<unsigned> popping{0};  // objects that a pop of the victim's under way may have taken for good
  std::atomic<unsigned> disorder{0};
  std::atomic<unsigned> corrupt{0};  // corrupt objects that a consumer met
  shmlane::QueueStat stat{};         // at the end, by the new consumer

  void wait_for(Stage reached) const;
  // Whether all of the first `count` objects came, but for what a victim may have taken along.
  [[nodiscard]] bool delivered(Pusher pusher, std::uint32_t count) const;
};

// Pushes the next object of `pusher`.
void push(Board& board, shmlane::Producer& producer, Pusher pusher, std::size_t size,
          shmlane::Timeout timeout = shmlane::forever);

// One consumer's deliveries: whole, and for each producer in its order unless redelivered.
class Taker {
 public:
  explicit Taker(Board& board) : board_(board) {}
  void note(const shmlane::Received& object);
  // One pop of a victim, whose death in it may take the object along.
  bool pop(shmlane::Consumer& consumer, shmlane::Timeout timeout = shmlane::no_wait);

 private:
  Board& board_;
  std::array<std::int64_t, kPushers> last_{-1, -1, -1, -1};
};

struct Account {
  unsigned missing = 0;     // committed and never delivered
  unsigned duplicated = 0;  // delivered twice with attempt 0
  unsigned redelivered = 0;
  unsigned delivered = 0;  // different objects
  unsigned committed = 0;
  unsigned tried = 0;
  unsigned invented = 0;  // never pushed, or given back
};
Account account(const Board& board);

}  // namespace kill_tests
