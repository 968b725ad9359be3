// SPDX-License-Identifier: Apache-2.0
// Claiming, freeing and judging entries of the table of participants.
#include "participants.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "crash_point.hpp"
#include "os/clock.hpp"
#include "os/process.hpp"
#include "shmlane/error.hpp"

namespace shmlane {

bool Participants::byte_held(unsigned index) const noexcept {
  // Who cannot ask takes everybody for alive.
  return !file_.intact() || os::byte_locked_elsewhere(file_.fd(), wire::kEntryLockByte + index);
}

void Participants::changed() const noexcept { atomic(header_->epoch).fetch_add(1, std::memory_order_acq_rel); }

unsigned Participants::used() const noexcept {
  return std::min(atomic(header_->used_entries).load(kAcquire), wire::kMaxParticipants);
}

ParticipantId Participants::claim(std::uint8_t role, const ParticipantPolicy& policy) const {
  for (unsigned index = 0; index < wire::kMaxParticipants; ++index) {
    const EntryWord old = word(index);
    // A free byte alone is not enough: what its last holder left must have been reaped first (W-13).
    if (old.live() || !os::try_lock_byte(file_.fd(), wire::kEntryLockByte + index)) continue;
    wire::ParticipantEntry& mine = table_[index];
    SHMLANE_CRASH_POINT("participants.claim.pid");
    mine.pid = os::process_id();
    SHMLANE_CRASH_POINT("participants.claim.policy");
    mine.on_death = static_cast<std::uint8_t>(policy.on_death);
    mine.max_attempts = policy.max_attempts;
    mine.producers_busy = mine.consumers_busy = 0;
    mine.oldest_lease = ~std::uint64_t{0};
    mine.attached_ns = os::unix_time_ns();
    const std::string name = os::process_name();
    SHMLANE_CRASH_POINT("participants.claim.name");
    std::memset(mine.process_name, 0, sizeof mine.process_name);
    std::memcpy(mine.process_name, name.data(), std::min(name.size(), sizeof mine.process_name - 1));
    if (index >= used()) {
      SHMLANE_CRASH_POINT("participants.claim.used");
      atomic(header_->used_entries).store(index + 1, kRelease);
    }
    SHMLANE_CRASH_POINT("participants.claim.word");
    const std::uint32_t generation = old.generation + 1;
    atomic(mine.word).store(EntryWord{wire::EntryState::kLive, role, generation}.pack(), kRelease);
    SHMLANE_CRASH_POINT("participants.claim.seen");
    atomic(header_->seen_roles).fetch_or(role, std::memory_order_acq_rel);
    SHMLANE_CRASH_POINT("participants.claim.epoch");
    changed();
    return make_id(index, generation);
  }
  throw TooManyParticipants("all " + std::to_string(wire::kMaxParticipants) +
                            " places for participants are taken; close handles that are no longer needed");
}

void Participants::set_role(ParticipantId me, std::uint8_t role) const noexcept {
  SHMLANE_CRASH_POINT("participants.set_role.word");
  const EntryWord mine{wire::EntryState::kLive, role, id_generation(me)};
  atomic(table_[id_index(me)].word).store(mine.pack(), kRelease);
  SHMLANE_CRASH_POINT("participants.set_role.epoch");
  changed();
}

void Participants::free_entry(ParticipantId id) const noexcept {
  SHMLANE_CRASH_POINT("participants.free.word");
  const EntryWord freed{wire::EntryState::kFree, 0, id_generation(id)};
  atomic(table_[id_index(id)].word).store(freed.pack(), kRelease);
  SHMLANE_CRASH_POINT("participants.free.epoch");
  changed();
}

void Participants::unlock_own_byte(ParticipantId me) const noexcept {
  SHMLANE_CRASH_POINT("participants.unlock");
  if (file_.intact()) os::unlock_byte(file_.fd(), wire::kEntryLockByte + id_index(me));
}

bool Participants::alive(ParticipantId id, ParticipantId me) const noexcept {
  if (id_index(id) >= wire::kMaxParticipants || !owns_entry(id)) return false;
  return id == me || byte_held(id_index(id));
}

unsigned Participants::count(std::uint8_t role) const noexcept {
  unsigned found = 0;
  for (unsigned index = 0, end = used(); index < end; ++index) {
    const EntryWord entry = word(index);
    found += entry.live() && (entry.role & role) != 0;
  }
  return found;
}

std::optional<ParticipantId> Participants::find_dead(ParticipantId me, unsigned from) const noexcept {
  for (unsigned index = from, end = used(); index < end; ++index) {
    const EntryWord entry = word(index);
    const ParticipantId id = make_id(index, entry.generation);
    if (entry.live() && id != me && !byte_held(index)) return id;
  }
  return std::nullopt;
}

unsigned Participants::reap_dead() const noexcept {
  unsigned reaped = 0;
  for (std::optional<ParticipantId> dead; (dead = find_dead(0)); ++reaped) free_entry(*dead);
  return reaped;
}

bool Participants::anyone_alive_but(ParticipantId me) const noexcept {
  for (unsigned index = 0, end = used(); index < end; ++index) {
    const EntryWord entry = word(index);
    if (entry.live() && make_id(index, entry.generation) != me && byte_held(index)) return true;
  }
  return false;
}

bool Participants::seen(std::uint8_t role) const noexcept {
  return (atomic(header_->seen_roles).load(kAcquire) & role) != 0;
}

std::string Participants::describe(ParticipantId id) const {
  if (id_index(id) >= wire::kMaxParticipants || !owns_entry(id)) return "a process that is gone";
  const wire::ParticipantEntry& entry = table_[id_index(id)];
  std::array<char, sizeof entry.process_name + 1> name{};
  std::memcpy(name.data(), entry.process_name, sizeof entry.process_name);
  return "process " + std::to_string(entry.pid) + " (" + name.data() + ")";
}

}  // namespace shmlane
