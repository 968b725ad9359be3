// SPDX-License-Identifier: Apache-2.0
// The processes around a death, and the judgement of what they saw.
#include "world.hpp"

#include <sys/wait.h>

#include <chrono>
#include <filesystem>

namespace kill_tests {
namespace {

constexpr unsigned kSurvivorObjects = 24;  // more than the ring holds: it goes round
constexpr unsigned kNewObjects = 12;
constexpr unsigned kHelperSeconds = 40;

using Clock = std::chrono::steady_clock;

std::string left_behind(const std::string& name) {
  std::string all;
  for (const auto& file : std::filesystem::directory_iterator("/dev/shm")) {
    const std::string found = file.path().filename().string();
    if (found == "shmlane." + name || found.starts_with("sem.shmlane." + name + ".")) all += " " + found;
  }
  return all;
}

}  // namespace

void World::consume(Stage from) {
  shmlane::Consumer consumer(name_, {{}, shmlane::wire::OnDeath::kRedeliver, 255});
  ++board_->ready;
  board_->wait_for(from);
  Taker taker(*board_);
  for (;;) {
    try {
      const auto object = consumer.pop();
      if (!object) break;
      taker.note(*object);
    } catch (const shmlane::Corrupt&) {
      ++board_->corrupt;
    }
  }
  if (from == Stage::kNewcomers) {
    board_->wait_for(Stage::kLeave);
    board_->stat = consumer.stat();
  }
  ++board_->ended;
}

void World::produce(Pusher pusher, Stage from, unsigned count) {
  shmlane::Producer producer(name_, {{.capacity = 4096}, shmlane::Policy::kBlock, shmlane::forever});
  ++board_->ready;
  board_->wait_for(from);
  for (unsigned i = 0; i < count; ++i) push(*board_, producer, pusher, 100 + 173 * i % 900);
  board_->wait_for(Stage::kEnd);
}

void World::start_consumer(Stage from) {
  ++consumers_;
  helpers_.emplace_back([this, from] { consume(from); }, kHelperSeconds);
  ++attached_;
  wait_for([&] { return board_->ready == attached_; });
}

void World::start_producer(Pusher pusher, Stage from, unsigned count) {
  helpers_.emplace_back([this, pusher, from, count] { produce(pusher, from, count); }, kHelperSeconds);
  ++attached_;
  wait_for([&] { return board_->ready == attached_; });
}

void World::start_survivors() {
  const Survivors who = scenario_.survivors;
  if (who == Survivors::kNone) return;
  start_consumer(who == Survivors::kEagerConsumer ? Stage::kPrepare : Stage::kSurvivors);
  if (who == Survivors::kConsumer) return;
  start_producer(kSurvivor, who == Survivors::kEagerProducer ? Stage::kPrepare : Stage::kSurvivors, kSurvivorObjects);
}

// A producer that comes first throws away what a crash left; that is not what is tested here.
void World::start_newcomers() {
  start_consumer(Stage::kNewcomers);
  start_producer(kNewcomer, Stage::kNewcomers, kNewObjects);
}

// A helper that is gone before its time has said why.
void World::wait_for(const std::function<bool()>& condition) {
  processes::wait_until([&] {
    for (processes::Child& helper : helpers_) {
      siginfo_t gone{};
      ::waitid(P_PID, static_cast<id_t>(helper.pid()), &gone, WEXITED | WNOHANG | WNOWAIT);
      if (gone.si_pid != 0 && (gone.si_code != CLD_EXITED || gone.si_status != 0)) {
        throw std::runtime_error("a survivor failed: " + helper.join());
      }
    }
    return condition();
  });
}

void World::run(const std::function<void(const Act&)>& wrap, const Executioner& execute, Aftermath& aftermath) {
  start_survivors();
  processes::Child victim([&] { wrap(scenario_.prepare(*this)); }, kHelperSeconds);
  aftermath.killed = execute(victim);
  const Clock::time_point death = Clock::now();
  board_->stage = Stage::kSurvivors;
  if (two_survivors()) wait_for([&] { return board_->delivered(kSurvivor, kSurvivorObjects); });
  if (two_survivors()) aftermath.recovery_ns = std::chrono::nanoseconds(Clock::now() - death).count();
  start_newcomers();
  board_->stage = Stage::kNewcomers;
  wait_for([&] { return board_->delivered(kNewcomer, kNewObjects); });
  finish();
  aftermath.account = judge();
  aftermath.sound = true;
}

void World::finish() {
  board_->stage = Stage::kEnd;
  wait_for([&] { return board_->ended == consumers_ - 1; });
  board_->stage = Stage::kLeave;
  const std::string outcome = processes::join_all(helpers_);
  helpers_.clear();
  processes::expect(outcome.empty(), "a survivor failed: " + outcome);
  const std::string left = left_behind(name_);
  processes::expect(left.empty(), "left behind:" + left);
}

Account World::judge() const {
  using processes::expect;
  const Account found = account(*board_);
  const shmlane::QueueStat& stat = board_->stat;
  const auto numbers = [&] {
    return " (tried " + std::to_string(found.tried) + ", committed " + std::to_string(found.committed) +
           ", delivered " + std::to_string(found.delivered) + ", again " + std::to_string(found.redelivered) +
           ", missing " + std::to_string(found.missing) + "; counted: pushed " + std::to_string(stat.pushed) +
           ", popped " + std::to_string(stat.popped) + ", dropped " + std::to_string(stat.dropped) + ", redelivered " +
           std::to_string(stat.redelivered) + ")";
  };
  const std::uint64_t dropped = scenario_.may_drop ? stat.dropped : 0;
  expect(found.missing <= board_->popping + board_->corrupt + dropped, "an object is lost" + numbers());
  expect(found.duplicated == 0, "an object came twice without being a redelivery" + numbers());
  expect(found.invented == 0, "an object came that was not committed" + numbers());
  expect(board_->disorder == 0, "objects of one producer came in another order");
  expect(stat.used == 0, std::to_string(stat.used) + " bytes of the ring stay in use");
  if (!two_survivors() || scenario_.new_queue) return found;
  // Whoever dies may have counted what it did not do any more; nothing that was done is missing.
  constexpr unsigned kSlack = 16;
  expect(stat.pushed + kSlack >= found.committed && stat.pushed <= found.tried + kSlack, "pushed" + numbers());
  expect(stat.popped + kSlack >= found.delivered + found.redelivered, "popped" + numbers());
  expect(stat.popped <= found.delivered + found.redelivered + kSlack, "popped" + numbers());
  expect(stat.redelivered >= found.redelivered && stat.redelivered <= found.redelivered + kSlack, "again" + numbers());
  return found;
}

}  // namespace kill_tests
