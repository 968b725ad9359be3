// SPDX-License-Identifier: Apache-2.0
// Noting and counting objects.
#include "board.hpp"

#include "support/processes.hpp"

namespace kill_tests {

void Board::wait_for(Stage reached) const {
  processes::wait_until([&] { return stage.load() >= reached; });
}

bool Board::delivered(Pusher pusher, std::uint32_t count) const {
  std::uint32_t came = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const Entry& entry = objects[pusher][i];
    came += entry.first.load() + entry.again.load() != 0;
  }
  return came + popping >= count && tried[pusher] == count && objects[pusher][count - 1].committed != 0;
}

void push(Board& board, shmlane::Producer& producer, Pusher pusher, std::size_t size, shmlane::Timeout timeout) {
  const std::uint32_t sequence = board.tried[pusher].fetch_add(1);
  processes::expect(sequence < kObjects, "too many objects for the board");
  Board::Entry& entry = board.objects[pusher][sequence];
  entry.tried = 1;
  const auto result = payloads::push_stamped(producer, {pusher, sequence}, size, timeout);
  if (result == shmlane::PushResult::kPushed) entry.committed = 1;
}

void Taker::note(const shmlane::Received& object) {
  const payloads::Stamp stamp = payloads::check_stamped(object.payload());
  processes::expect(stamp.producer < kPushers && stamp.sequence < kObjects, "an object that nobody pushed");
  Board::Entry& entry = board_.objects[stamp.producer][stamp.sequence];
  if (object.attempt() != 0) {
    ++entry.again;
    return;
  }
  ++entry.first;
  if (stamp.sequence <= last_[stamp.producer]) ++board_.disorder;
  last_[stamp.producer] = stamp.sequence;
}

bool Taker::pop(shmlane::Consumer& consumer, shmlane::Timeout timeout) {
  board_.popping = 1;
  const auto object = consumer.pop(timeout);
  if (object) note(*object);
  board_.popping = 0;
  return static_cast<bool>(object);
}

Account account(const Board& board) {
  Account sum;
  for (const auto& objects : board.objects) {
    for (const Board::Entry& entry : objects) {
      const unsigned times = entry.first + entry.again;
      sum.tried += entry.tried;
      sum.committed += entry.committed;
      sum.delivered += times != 0;
      sum.missing += entry.committed != 0 && times == 0;
      sum.duplicated += entry.first > 1;
      sum.redelivered += entry.again;
      sum.invented += times != 0 && (entry.tried == 0 || entry.forbidden != 0);
    }
  }
  return sum;
}

}  // namespace kill_tests
