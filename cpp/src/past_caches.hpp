// SPDX-License-Identifier: Apache-2.0
// A copy that leaves nothing in the caches of who copies (non-temporal stores).
#pragma once

#include <cstddef>
#include <cstring>

#if defined(__SSE2__) && !defined(SHMLANE_TSAN)
#include <emmintrin.h>
#endif

namespace shmlane {

// memcpy() to a place at a multiple of 16. What the thread stores afterwards is seen after the copy, as always.
inline void copy_past_caches(std::byte* to, const void* source, std::size_t size) noexcept {
  const auto* from = static_cast<const std::byte*>(source);
#if defined(__SSE2__) && !defined(SHMLANE_TSAN)  // to the sanitizer such stores are none
  constexpr std::size_t kLine = 64;
  for (; size >= kLine; size -= kLine, to += kLine, from += kLine) {
    for (std::size_t at = 0; at < kLine; at += sizeof(__m128i)) {
      _mm_stream_si128(reinterpret_cast<__m128i*>(to + at),
                       _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + at)));
    }
  }
  _mm_sfence();  // such stores are in no order, not even before a release
#endif
  if (size != 0) std::memcpy(to, from, size);
}

}  // namespace shmlane
