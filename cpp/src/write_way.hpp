// SPDX-License-Identifier: Apache-2.0
// How a producer writes payloads: by whichever way is the quickest where it runs, which is tried out, not computed.
//
//   windows      through the caches, beginning again in memory that is warm where a window ends (ring_window.hpp)
//   around       through the caches, all the way round the ring
//   past caches  by non-temporal stores, all the way round the ring (past_caches.hpp)
//
// Windows win where two cores share a last-level cache that is smaller than the ring, past the caches where they share
// none, around where that cache is larger than all; but the size of objects, filling in place, and what consumers do have
// their say, too, and a virtual machine may be moved at any moment. So:
//   1. Whenever the handle has written 16 MiB, the time is taken, and how much consumers took meanwhile: what it wrote
//      says nothing while the ring fills or empties. Of every five such slices the median pace counts.
//   2. Now and then another way is tried for as long, once memory has settled, and stays if it is clearly quicker; if it is
//      clearly slower at once, it is given up at once.
//   3. The next try comes ever later, from 1 to 8 GiB, so that tries take about a hundredth of the time, and a machine that
//      has changed is noticed within a second or two.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "shmlane/error.hpp"

namespace shmlane {

enum class WriteWay : std::uint8_t { kWindows, kAround, kPastCaches };

// What the environment asks for by SHMLANE_WRITE_WAY, if anything. Throws InvalidArgument.
inline std::optional<WriteWay> asked_write_way() {
  const char* const value = ::secure_getenv("SHMLANE_WRITE_WAY");
  const std::string_view word = value == nullptr ? "" : value;
  if (word == "windows") return WriteWay::kWindows;
  if (word == "around") return WriteWay::kAround;
  if (word == "past-caches") return WriteWay::kPastCaches;
  if (word.empty()) return std::nullopt;
  throw InvalidArgument(
      "SHMLANE_WRITE_WAY is '" + std::string(word) +
      "'; it must be 'windows', 'around' or 'past-caches', or not there, and the quickest is tried out");
}

// The way of one producing handle. Thread-safe: what one thread notes while another does is left out.
class QuickestWay {
 public:
  explicit QuickestWay(std::optional<WriteWay> asked = std::nullopt) noexcept
      : way_(asked.value_or(WriteWay::kWindows)), fixed_(asked.has_value()) {}

  [[nodiscard]] WriteWay now() const noexcept { return way_.load(std::memory_order_relaxed); }

  // Whether enough was written since the last note() for another one.
  [[nodiscard]] bool due(std::uint64_t written) const noexcept {
    return !fixed_ && written - slice_from_.load(std::memory_order_relaxed) >= kSlice;
  }
  // Up to that moment, in nanoseconds, the handle wrote, and consumers took, so many bytes. Returns whether another way
  // begins.
  bool note(std::uint64_t written, std::uint64_t taken, std::int64_t now) noexcept {
    if (noting_.test_and_set(std::memory_order_acquire)) return false;
    const WriteWay before = this->now();
    if (due(written)) end_slice(written, taken, now);
    const bool another = this->now() != before;
    noting_.clear(std::memory_order_release);
    return another;
  }

  static constexpr std::uint64_t kSlice = std::uint64_t{16} << 20;  // bytes
  static constexpr std::size_t kMeasured = 5;                       // slices
  static constexpr unsigned kSettling = 2;                          // as many as the default capacity has
  static constexpr unsigned kFirstPause = 64, kLongestPause = 512;
  static constexpr double kQuicker = 0.95, kHopeless = 1.4;
  static constexpr double kIdle = 1;  // ns per byte: so slow that it is not the copy that takes the time

 private:
  void end_slice(std::uint64_t written, std::uint64_t taken, std::int64_t now) noexcept {
    const double pace = static_cast<double>(now - slice_at_) / static_cast<double>(taken - taken_before_);
    slice_from_.store(written, std::memory_order_relaxed);
    taken_before_ = taken;
    slice_at_ = now;
    if (settling_ != 0) {
      --settling_;
    } else if (!(pace < kIdle)) {  // nothing taken is no pace at all
      measured_ = 0;
    } else {
      paces_[measured_++] = pace;
      if (trying() && pace > kHopeless * pace_) end_trial(pace);
      if (measured_ == paces_.size()) end_measure();
    }
  }

  void end_measure() noexcept {
    std::ranges::nth_element(paces_, paces_.begin() + kMeasured / 2);
    const double pace = paces_[kMeasured / 2];
    if (trying()) {
      end_trial(pace);
      return;
    }
    measured_ = 0;
    since_trial_ += kMeasured;
    if (untried_ == 0 && since_trial_ < pause_) return;
    pace_ = pace;
    last_tried_ = next(last_tried_) == best_ ? next(next(last_tried_)) : next(last_tried_);
    take(last_tried_);
  }

  void end_trial(double pace) noexcept {
    measured_ = 0;
    since_trial_ = 0;
    if (untried_ != 0) --untried_;
    if (pace < kQuicker * pace_) {
      best_ = last_tried_;
      pace_ = pace;
      pause_ = kFirstPause;
    } else {
      pause_ = std::min(2 * pause_, kLongestPause);
      take(best_);
    }
  }

  [[nodiscard]] bool trying() const noexcept { return now() != best_; }
  void take(WriteWay way) noexcept {
    way_.store(way, std::memory_order_relaxed);
    settling_ = kSettling;
  }
  static constexpr WriteWay next(WriteWay way) noexcept {
    return static_cast<WriteWay>((static_cast<unsigned>(way) + 1) % 3);
  }

  std::atomic<WriteWay> way_;
  bool fixed_;
  std::atomic_flag noting_{};
  std::atomic<std::uint64_t> slice_from_{0};
  // While noting.
  std::int64_t slice_at_ = 0;
  std::uint64_t taken_before_ = 0;
  std::array<double, kMeasured> paces_{};
  std::size_t measured_ = 0;
  unsigned settling_ = 2 * kSettling;
  WriteWay best_ = WriteWay::kWindows, last_tried_ = best_;
  unsigned untried_ = 2;                                // ways, at the beginning
  double pace_ = 0;                                     // of the best one when it was last compared, ns per byte
  unsigned since_trial_ = 0, pause_ = kFirstPause / 2;  // slices
};

}  // namespace shmlane
