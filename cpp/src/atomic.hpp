// SPDX-License-Identifier: Apache-2.0
// Atomic access to words of shared memory, and how an id, an entry and a frame are packed into one word (SPEC 3 and 4).
#pragma once

#include <atomic>
#include <cstdint>

#include "shmlane/wire.hpp"

namespace shmlane {

#if defined(SHMLANE_TSAN)
// Sequentially consistent everywhere: the sanitizer does not understand fences and membarrier.
inline constexpr auto kRelaxed = std::memory_order_seq_cst;
inline constexpr auto kAcquire = std::memory_order_seq_cst;
inline constexpr auto kRelease = std::memory_order_seq_cst;
inline constexpr auto kAcquireRelease = std::memory_order_seq_cst;
#else
inline constexpr auto kRelaxed = std::memory_order_relaxed;
inline constexpr auto kAcquire = std::memory_order_acquire;
inline constexpr auto kRelease = std::memory_order_release;
inline constexpr auto kAcquireRelease = std::memory_order_acq_rel;
#endif

template <class T>
inline std::atomic_ref<T> atomic(T& word) noexcept {
  static_assert(std::atomic_ref<T>::is_always_lock_free, "a lock inside an atomic would not work between processes");
  return std::atomic_ref<T>(word);
}

// generation << 16 | (index + 1); never 0.
using ParticipantId = std::uint64_t;

constexpr ParticipantId make_id(unsigned index, std::uint32_t generation) noexcept {
  return (std::uint64_t{generation} << 16) | (index + 1);
}
constexpr unsigned id_index(ParticipantId id) noexcept { return static_cast<unsigned>(id & 0xffff) - 1; }
constexpr std::uint32_t id_generation(ParticipantId id) noexcept { return static_cast<std::uint32_t>(id >> 16); }

struct EntryWord {
  wire::EntryState state;
  std::uint8_t role;
  std::uint32_t generation;

  static constexpr EntryWord unpack(std::uint64_t word) noexcept {
    return {static_cast<wire::EntryState>(word & 0xff), static_cast<std::uint8_t>(word >> 8),
            static_cast<std::uint32_t>(word >> 32)};
  }
  [[nodiscard]] constexpr std::uint64_t pack() const noexcept {
    return static_cast<std::uint64_t>(state) | (std::uint64_t{role} << 8) | (std::uint64_t{generation} << 32);
  }
  [[nodiscard]] constexpr bool live() const noexcept { return state == wire::EntryState::kLive; }
};

struct Control {
  wire::FrameState state;
  std::uint8_t attempt;
  ParticipantId owner;  // of a RESERVED or LEASED frame, else 0

  static constexpr Control unpack(std::uint64_t word) noexcept {
    return {static_cast<wire::FrameState>(word & 0xff), static_cast<std::uint8_t>(word >> 8), word >> 16};
  }
  [[nodiscard]] constexpr std::uint64_t pack() const noexcept {
    return static_cast<std::uint64_t>(state) | (std::uint64_t{attempt} << 8) | (owner << 16);
  }
};

}  // namespace shmlane
