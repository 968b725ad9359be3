// SPDX-License-Identifier: Apache-2.0
// The table of participants: who is attached, in which role, and who of them is still alive (SPEC section 3).
//
// Each entry is written by its owner while it lives and by whoever reaps it after its death; everybody scans. A stale
// read is harmless: it may show somebody who just left or miss somebody who just came, and every decision that takes
// something from the dead is made again under the locks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "atomic.hpp"
#include "os/filelock.hpp"
#include "shmlane/wire.hpp"

namespace shmlane {

struct ParticipantPolicy {  // what others do with the frames of a participant that died
  wire::OnDeath on_death = wire::OnDeath::kRedeliver;
  std::uint8_t max_attempts = 3;
};

// A view of one segment's table through one open file description. The view itself is immutable; thread-safe.
class Participants {
 public:
  Participants() = default;
  Participants(wire::SegmentHeader& header, wire::ParticipantEntry* table, int fd)
      : header_(&header), table_(table), file_(fd) {}

  // Under the creation lock. Takes a free entry: its byte first, its word last. Throws TooManyParticipants.
  ParticipantId claim(std::uint8_t role, const ParticipantPolicy& policy) const;
  // Changes the role of one's own entry.
  void set_role(ParticipantId me, std::uint8_t role) const noexcept;
  // Frees an entry: one's own, or, under both locks of the ring, a dead one's. The byte is let go by its owner only.
  void free_entry(ParticipantId id) const noexcept;
  void unlock_own_byte(ParticipantId me) const noexcept;

  // An id is dead if its entry has another generation, or is not live, or if nobody holds its byte. One's own id, `me`,
  // is alive as long as the entry says so.
  [[nodiscard]] bool alive(ParticipantId id, ParticipantId me) const noexcept;
  // Whether the entry still is this id's: false once it was evicted.
  [[nodiscard]] bool owns_entry(ParticipantId id) const noexcept { return owns(table_[id_index(id)], id); }
  [[nodiscard]] static bool owns(wire::ParticipantEntry& entry, ParticipantId id) noexcept {
    const EntryWord found = word(entry);
    return found.live() && found.generation == id_generation(id);
  }
  // Whether this process can still ask who lives: false once its descriptors were closed behind our back.
  [[nodiscard]] bool can_ask() const noexcept { return file_.intact(); }
  // Any live entry with that role, dead ones that nobody has reaped yet included.
  [[nodiscard]] unsigned count(std::uint8_t role) const noexcept;
  // The first entry from `from` on that is live and dead: its owner is gone and nobody has reaped it.
  [[nodiscard]] std::optional<ParticipantId> find_dead(ParticipantId me, unsigned from = 0) const noexcept;
  // Under the creation lock, in a segment whose participants leave nothing behind that must be settled: frees the entries
  // of the dead (W-125). How many.
  unsigned reap_dead() const noexcept;
  [[nodiscard]] bool anyone_alive_but(ParticipantId me) const noexcept;
  [[nodiscard]] bool seen(std::uint8_t role) const noexcept;
  // Grows with every change: a scan that began and ended with the same number saw the table as it was at one moment.
  [[nodiscard]] std::uint64_t epoch() const noexcept { return atomic(header_->epoch).load(kAcquire); }

  // "process 4711 (python3)", or "a process that is gone".
  [[nodiscard]] std::string describe(ParticipantId id) const;
  [[nodiscard]] unsigned used() const noexcept;
  [[nodiscard]] EntryWord word(unsigned index) const noexcept { return word(table_[index]); }
  [[nodiscard]] static EntryWord word(wire::ParticipantEntry& entry) noexcept {
    // Pairs with the release stores of the word in claim(), set_role() and free_entry().
    return EntryWord::unpack(atomic(entry.word).load(kAcquire));
  }
  [[nodiscard]] wire::ParticipantEntry& entry(unsigned index) const noexcept { return table_[index]; }

 private:
  [[nodiscard]] bool byte_held(unsigned index) const noexcept;
  void changed() const noexcept;

  wire::SegmentHeader* header_ = nullptr;
  wire::ParticipantEntry* table_ = nullptr;
  os::KnownFile file_;
};

}  // namespace shmlane
