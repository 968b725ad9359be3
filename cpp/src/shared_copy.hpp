// SPDX-License-Identifier: Apache-2.0
// Copies of memory that another one may be writing, or reading, at the same moment: who copies finds out afterwards
// whether that was so, and then throws the copy away (W-128).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(SHMLANE_TSAN)
#include <atomic>
#endif

namespace shmlane {

inline void shared_copy(std::byte* out, const std::byte* in, std::size_t size) noexcept {
#if defined(SHMLANE_TSAN)  // by atomic words: to the sanitizer a memcpy that is thrown away is a race all the same
  std::size_t i = 0;
  const auto aligned = [](const std::byte* place) { return reinterpret_cast<std::uintptr_t>(place) % 8 == 0; };
  for (; aligned(out) && aligned(in) && i + 8 <= size; i += 8) {
    const auto from = std::atomic_ref(*reinterpret_cast<std::uint64_t*>(const_cast<std::byte*>(in + i)));
    std::atomic_ref(*reinterpret_cast<std::uint64_t*>(out + i)).store(from.load(std::memory_order_seq_cst));
  }
  for (; i < size; ++i) {
    const auto byte = std::atomic_ref(const_cast<std::byte&>(in[i])).load(std::memory_order_seq_cst);
    std::atomic_ref(out[i]).store(byte, std::memory_order_seq_cst);
  }
#else
  if (size != 0) std::memcpy(out, in, size);
#endif
}

inline void shared_clear(std::byte* out, std::size_t size) noexcept {
#if defined(SHMLANE_TSAN)
  for (std::size_t i = 0; i < size; ++i) std::atomic_ref(out[i]).store(std::byte{0}, std::memory_order_seq_cst);
#else
  if (size != 0) std::memset(out, 0, size);
#endif
}

}  // namespace shmlane
