// SPDX-License-Identifier: Apache-2.0
// One worker alone that does the same step again and again, or writes and is observed by a reader on another core.
#pragma once

#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <new>
#include <stdexcept>

#include "peer.hpp"

namespace bench {

constexpr unsigned kSteps = 64;  // between two looks of the driver

// Base makes and removes what the loop works on.
template <class Loop, class Base>
class AloneOn final : public Base {
 public:
  void work(const Task& task) const override {
    for (Loop loop(task.setup);;) {
      for (unsigned i = 0; i < kSteps; ++i) loop.step();
      task.meter.bytes += kSteps * task.setup.largest;
      publish(task.meter.objects, task.meter.objects + kSteps);
    }
  }
};

// A writer, and on another core a reader that looks a thousand times a second for a while, and does not for a while. What
// is recorded is the writer's rate while it does, in millionths of that while it does not: both within 50 ms, because the
// rate of a shared machine drifts by more than a reader costs.
template <class Write, class Read, class Base>
class Observed final : public Base {
 public:
  void work(const Task& task) const override {
    std::atomic<bool>& looks = start_reader(task.setup);
    for (Write write(task.setup);;) {
      looks.store(false);
      const double unobserved = rate(write);
      looks.store(true);
      record(task.times, static_cast<std::int64_t>(1e6 * rate(write) / unobserved));
      publish(task.meter.objects, task.meter.objects + 1);
    }
  }

 private:
  static double rate(Write& write) {
    constexpr std::int64_t kWindow = 25'000'000;
    const std::int64_t begin = now_ns();
    std::int64_t end = begin, steps = 0;
    for (; end < begin + kWindow; end = now_ns(), ++steps) write.step();
    return static_cast<double>(steps) / static_cast<double>(end - begin);
  }
  static std::atomic<bool>& start_reader(const Setup& setup) {
    constexpr std::int64_t kPause = 1'000'000;
    void* memory =
        ::mmap(nullptr, sizeof(std::atomic<bool>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
    auto& looks = *new (memory) std::atomic<bool>(false);
    if (::fork() != 0) return looks;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    settle(1);
    for (Read read(setup);; pause_for(kPause)) {
      if (looks.load()) read.step();
    }
  }
};

}  // namespace bench
