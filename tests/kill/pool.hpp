// SPDX-License-Identifier: Apache-2.0
// Many worlds at once: most of a recovery is waiting, so their number is not bound to the cores.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <utility>

#include "support/processes.hpp"

namespace kill_tests {

class Pool {
 public:
  using Report = std::function<void(const std::string& outcome)>;
  explicit Pool(std::size_t width) : width_(width) {}
  // Runs `work` in a child; `report` gets its outcome here, "" if all is well, at a later call or in finish().
  void start(const std::function<void()>& work, Report report) {
    if (running_.size() == width_) join_one();
    running_.emplace_back(processes::Child(work, 60), std::move(report));
  }
  void finish() {
    while (!running_.empty()) join_one();
  }

 private:
  void join_one() {
    auto& [child, report] = running_.front();
    report(child.join());
    running_.pop_front();
  }
  std::size_t width_;
  std::deque<std::pair<processes::Child, Report>> running_;
};

}  // namespace kill_tests
