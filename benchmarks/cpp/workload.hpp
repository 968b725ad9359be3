// SPDX-License-Identifier: Apache-2.0
// What every benchmark moves: sizes of payloads, prepared payloads, and the sum by which a consumer reads each byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <vector>

namespace bench {

// Sum of all bytes taken as 64-bit words; the same function for every peer, every language and every limit.
std::uint64_t sum(std::span<const std::byte> bytes) noexcept;

struct Sizes {  // of payloads: uniform from least to most, in bytes
  std::size_t least;
  std::size_t most;
};

// A repeating sequence of payloads, made before the clock starts; each has its own bytes in memory of its own.
class Payloads {
 public:
  Payloads(Sizes sizes, unsigned seed) {
    std::mt19937 random(seed);
    const std::size_t count = sizes.most > (1 << 20) ? 8 : 16;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t size = std::uniform_int_distribution<std::size_t>(sizes.least, sizes.most)(random);
      payloads_.emplace_back(size, static_cast<std::byte>(i + 1));
    }
  }
  [[nodiscard]] std::span<const std::byte> next() noexcept {
    std::vector<std::byte>& payload = payloads_[at_];
    at_ = at_ + 1 == payloads_.size() ? 0 : at_ + 1;
    if (stamp_ != 0) std::memcpy(payload.data(), &stamp_, sizeof stamp_);
    return payload;
  }
  // From now on each payload begins with this number.
  void stamp(std::int64_t number) noexcept { stamp_ = number; }

 private:
  std::vector<std::vector<std::byte>> payloads_;
  std::size_t at_ = 0;
  std::int64_t stamp_ = 0;
};

}  // namespace bench
