// SPDX-License-Identifier: Apache-2.0
// Starts the C++ workers of one measurement, each in a process of its own, and keeps them until it is told to end them.
//
// The driver (benchmarks/harness.py) says in JSON who does what, samples the board, and sends SIGTERM. A worker that
// ends by itself has failed, and so has the measurement.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>

#include "peer.hpp"

namespace bench {

using nlohmann::json;

namespace {

Setup setup_of(const json& ask) {
  return {.name = ask.at("name"),
          .capacity = ask.value("capacity", std::size_t{32} << 20),
          .largest = ask.value("most", std::size_t{64}),
          .producers = ask.value("producers", 1U),
          .consumers = ask.value("consumers", 1U),
          .batch = ask.value("batch", 1U),
          .in_place = ask.value("in_place", false),
          .popped = ask.value("popped", false),
          .spin = ask.value("spin", false),
          .sleep = ask.value("sleep", false)};
}

Setup way_back(Setup setup) {
  setup.name += "-back";
  return setup;
}

// A group of its own is what all signals go to, and what dies with the driver.
class Workers {
 public:
  Workers() = default;
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  ~Workers() {
    for (const pid_t pid : pids_) ::kill(pid, SIGKILL);
    for (const pid_t pid : pids_) ::waitpid(pid, nullptr, 0);
  }
  void start(const Peer& peer, const json& ask, const json& worker, Board& board) {
    const pid_t pid = ::fork();
    if (pid != 0) {
      pids_.push_back(pid);
      return;
    }
    settle(worker.at("core"));
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    try {
      Meter& meter = board.meters[worker.at("meter").get<std::size_t>()];
      publish(meter.pid, static_cast<std::uint64_t>(::getpid()));
      Setup setup = setup_of(ask);
      setup.index = worker.value("index", 0U);
      peer.work({.role = worker.at("role"),
                 .setup = setup,
                 .back = way_back(setup),
                 .sizes = {ask.value("least", setup.largest), setup.largest},
                 .pause_ns = ask.value("pause_ns", std::int64_t{0}),
                 .burst = ask.value("burst", 1U),
                 .meter = meter,
                 .times = board.times});
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s: %s\n", worker.at("role").get<std::string>().c_str(), error.what());
    }
    std::_Exit(1);
  }

 private:
  std::vector<pid_t> pids_;
};

int host(const json& ask) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  sigset_t awaited;
  sigemptyset(&awaited);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&awaited, signal);
  ::sigprocmask(SIG_BLOCK, &awaited, nullptr);

  const std::unique_ptr<Peer> peer = make_peer(ask.at("peer"));
  const Setup setup = setup_of(ask);
  const bool makes = ask.value("makes", true);  // not the second host of a measurement across languages
  const bool echoes = ask.value("echoes", false);
  if (makes) peer->create(setup);
  if (makes && echoes) peer->create(way_back(setup));
  int signal = 0;
  {
    Board& board = map_board(ask.at("board"));
    Workers workers;
    for (const json& worker : ask.at("workers")) workers.start(*peer, ask, worker, board);
    ::sigwait(&awaited, &signal);
  }
  if (makes) peer->remove(setup);
  if (makes && echoes) peer->remove(way_back(setup));
  return signal == SIGCHLD ? 1 : 0;
}

}  // namespace
}  // namespace bench

// Usage: shmlane_bench peers | shmlane_bench JSON
int main(int count, char** words) {
  try {
    if (count == 2 && std::string(words[1]) == "peers") {
      for (const bench::NamedPeer& peer : bench::all_peers()) std::cout << peer.name << '\n';
      return 0;
    }
    if (count == 2) return bench::host(bench::json::parse(words[1]));
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  std::cerr << "usage: shmlane_bench peers | shmlane_bench JSON\n";
  return 2;
}
