// SPDX-License-Identifier: Apache-2.0
// The bytes that a fuzzer gives, eaten from the front, and how a target says that something cannot be.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>

namespace fuzz {

// Ends the fuzzer's process, which libFuzzer takes for a crash and keeps the input of.
inline void expect(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "not as it must be: %s\n", what);
  std::abort();
}

// Looks at every byte, so that the sanitizer does; the sum keeps the compiler from leaving that out.
inline void touch(std::span<const std::byte> bytes) noexcept {
  unsigned sum = 0;
  for (const std::byte byte : bytes) sum += static_cast<unsigned>(byte);
  asm volatile("" : : "r"(sum));
}
inline void touch(std::string_view text) noexcept { touch(std::as_bytes(std::span(text))); }

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) noexcept : left_(data, size) {}

  // The next sizeof(T) bytes; zeros where the input has ended.
  template <class T>
  T take() noexcept {
    T value{};
    const std::size_t size = std::min(sizeof value, left_.size());
    if (size != 0) std::memcpy(&value, left_.data(), size);
    left_ = left_.subspan(size);
    return value;
  }
  // Below `end`.
  std::size_t below(std::size_t end) noexcept { return take<std::uint16_t>() % end; }
  [[nodiscard]] bool empty() const noexcept { return left_.empty(); }
  [[nodiscard]] std::string_view rest() const noexcept {
    return {reinterpret_cast<const char*>(left_.data()), left_.size()};
  }

 private:
  std::span<const std::uint8_t> left_;
};

}  // namespace fuzz
