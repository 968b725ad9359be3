// SPDX-License-Identifier: Apache-2.0
// Sleeping on a named semaphore and being woken, without a fence on the publisher's side (SPEC 5.8, W-31 to W-35).
//
// 1. A sleeper announces itself: it adds one to the count of waiters.
// 2. It imposes a barrier on everybody (membarrier), then looks once more for what it waits for.
// 3. It sleeps on the semaphore, at most 100 ms at a time.
// 4. A publisher publishes, then reads the count. Not zero: it takes one announcement back and posts one token.
// 5. Who leaves without a token withdraws its announcement; if a publisher was faster, a token is or will be there for
//    it: it is taken now, or owed, and then the next sleep of this handle does not announce itself again.
//
// So there is one token per announcement taken back, and tokens never pile up. Who dies on either side costs others at
// most two slices or one needless look.
#pragma once

#include <atomic>
#include <cstdint>

#include "atomic.hpp"
#include "os/barrier.hpp"
#include "os/clock.hpp"
#include "os/semaphore.hpp"

namespace shmlane {

inline constexpr std::int64_t kSliceNs = 100'000'000;

// Where the participants of one side sleep, seen from one handle. Thread-safe.
class WaitPlace {
 public:
  WaitPlace(std::uint64_t& waiters, const std::uint32_t& flags, os::NamedSemaphore semaphore)
      : waiters_(&waiters), flags_(&flags), semaphore_(std::move(semaphore)) {}

  // After a publication: wakes one sleeper if there is one.
  void wake_one() noexcept {
    if (full_fence()) os::full_fence();
    if (atomic(*waiters_).load(kRelaxed) != 0) [[unlikely]]
      post_one();
  }
  // After so many publications.
  void wake(std::size_t count) noexcept {
    if (count != 0) wake_one();
    while (count > 1 && atomic(*waiters_).load(kRelaxed) != 0) {
      post_one();
      --count;
    }
  }
  void wake_all() noexcept;

  // One sleeper: announce(), look again, sleep(), and so on; the destructor withdraws what is still announced.
  class Sleeper {
   public:
    explicit Sleeper(WaitPlace& place) noexcept : place_(place) {}
    Sleeper(const Sleeper&) = delete;
    Sleeper& operator=(const Sleeper&) = delete;
    ~Sleeper();
    // From here on publications wake it; nothing new if it is announced already.
    void announce() noexcept;
    // Until woken, at most until `until_ns` of the monotonic clock.
    os::SemaphoreWait sleep(std::int64_t until_ns) noexcept;

   private:
    WaitPlace& place_;
    bool announced_ = false;
    bool owed_ = false;  // announced by a debt: the token is on its way, unless its sender died
  };

 private:
  [[nodiscard]] bool full_fence() const noexcept {
    return (atomic(*const_cast<std::uint32_t*>(flags_)).load(kRelaxed) & wire::kFlagFullFence) != 0;
  }
  void post_one() noexcept;
  [[nodiscard]] bool take_back() noexcept;

  std::uint64_t* waiters_;
  const std::uint32_t* flags_;
  os::NamedSemaphore semaphore_;
  std::atomic<int> owed_{0};  // tokens that are on their way to this handle
};

}  // namespace shmlane
