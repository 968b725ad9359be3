// SPDX-License-Identifier: Apache-2.0
// A bell: a word on which any number sleep until it is rung, by futex (SPEC 11.2, W-121 and W-122).
//
// 1. Who wants to sleep makes the word odd, imposes a barrier on everybody (membarrier), and remembers the word.
// 2. It looks once more for what it waits for.
// 3. It sleeps as long as the word is what it remembers, at most 100 ms at a time.
// 4. Who changed something that others wait for looks at the word. Odd: it adds 1 and wakes all who sleep on it.
//
// So a ring costs a look unless somebody sleeps, nobody's wake-up can be taken by another, and nothing has to be withdrawn:
// a sleeper that died or left costs one needless ring.
#pragma once

#include <cstdint>

#include "atomic.hpp"
#include "os/barrier.hpp"
#include "os/futex.hpp"

namespace shmlane {

// One bell, seen from one handle. Thread-safe; copies are the same bell.
class Bell {
 public:
  // Without `flags` it can be rung for sure only.
  explicit Bell(std::uint64_t& word) noexcept : word_(&word) {}
  Bell(std::uint64_t& word, const std::uint32_t& flags) noexcept : word_(&word), flags_(&flags) {}

  // After a change, made by a release store.
  void ring() noexcept {
    if (full_fence()) [[unlikely]]
      os::full_fence();
    if ((atomic(*word_).load(kRelaxed) & 1) != 0) [[unlikely]]
      wake();
  }
  // The same for whoever cannot rely on the sleepers' barrier, or does not care.
  void ring_for_sure() noexcept {
    os::full_fence();
    if ((atomic(*word_).load(kRelaxed) & 1) != 0) wake();
  }

  // Steps 1 and 3.
  [[nodiscard]] os::FutexWord listen() noexcept;
  static os::FutexWait sleep(const os::FutexWord& heard, std::int64_t until_ns) noexcept;
  [[nodiscard]] bool somebody_listens() const noexcept { return (atomic(*word_).load(kRelaxed) & 1) != 0; }

 private:
  [[nodiscard]] bool full_fence() const noexcept {
    return (atomic(*const_cast<std::uint32_t*>(flags_)).load(kRelaxed) & wire::kFlagFullFence) != 0;
  }
  void wake() noexcept;

  std::uint64_t* word_;
  const std::uint32_t* flags_ = nullptr;
};

}  // namespace shmlane
