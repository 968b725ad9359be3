// SPDX-License-Identifier: Apache-2.0
// Looking at segments through a read-only mapping, and removing them.
#include "shmlane/inspect.hpp"

#include <array>
#include <cstring>

#include "attachment.hpp"
#include "creation_lock.hpp"
#include "queue_core.hpp"
#include "shmlane/error.hpp"

namespace shmlane {
namespace {

os::ShmFile open_file(std::string_view name, bool writable) {
  std::optional<os::ShmFile> file = os::ShmFile::open(segment_file_name(name), writable);
  if (!file) {
    throw NotFound("there is no segment named '" + std::string(name) + "'; shmlane ls lists what there is");
  }
  return std::move(*file);
}

ParticipantInfo participant(const Participants& table, unsigned index) {
  const wire::ParticipantEntry& entry = table.entry(index);
  const EntryWord word = table.word(index);
  std::array<char, sizeof entry.process_name + 1> process_name{};
  std::memcpy(process_name.data(), entry.process_name, sizeof entry.process_name);
  return {.index = index,
          .pid = entry.pid,
          .process_name = process_name.data(),
          .producer = (word.role & wire::kRoleProducer) != 0,
          .consumer = (word.role & wire::kRoleConsumer) != 0,
          .alive = table.alive(make_id(index, word.generation), 0),
          .attached_ns = entry.attached_ns,
          .holds = {}};
}

// One pass without a lock; what is met after the ring moved on under our feet is left out.
void collect_holds(const Ring& ring, std::vector<ParticipantInfo>& participants) {
  try {
    ring.walk_all([&](Position position, Control control, wire::FrameHeader& header) {
      if (control.owner == 0) return true;
      for (ParticipantInfo& info : participants) {
        if (info.index != id_index(control.owner)) continue;
        info.holds.push_back({control.state, position, atomic(header.payload_size).load(kRelaxed)});
      }
      return true;
    });
  } catch (const Corrupt&) {
    return;
  }
}

}  // namespace

std::vector<std::string> list_segments() { return os::ShmFile::list(std::string(kSegmentPrefix)); }

SegmentInfo inspect_segment(std::string_view name) {
  os::ShmFile file = open_file(name, false);
  SegmentInfo info;
  info.name = name;
  info.file_size = file.size();
  if (file.size() == 0) return info;  // being made
  Segment segment(info.name, std::move(file), false);
  info.state = segment.state();
  if (info.state == wire::SegmentState::kEmpty && segment.header().magic == 0) return info;
  segment.check({});
  const wire::SegmentHeader& header = segment.header();
  info.kind = static_cast<wire::Kind>(header.kind);
  info.version = header.version;
  info.segment_id = header.segment_id;
  info.created_ns = header.created_ns;
  info.mode = header.mode;
  const Participants table(segment.header(), segment.table(), segment.file().fd());
  for (unsigned index = 0; index < table.used(); ++index) {
    if (table.word(index).live()) info.participants.push_back(participant(table, index));
  }
  std::optional<Ring> ring;
  if (segment.map_body()) {
    ring.emplace(segment.header(), segment.control(), segment.body(), segment.capacity(), table, info.name);
    info.objects = ring->contents().waiting;
    collect_holds(*ring, info.participants);
  }
  info.stat = queue_stat(table, ring ? &*ring : nullptr);
  return info;
}

bool remove_segment(std::string_view name, bool force) {
  os::ShmFile file = open_file(name, true);
  const int fd = file.fd();
  std::optional<Segment> segment;
  const CreationLock lock(fd, std::string(name));
  if (!file.has_name(segment_file_name(name))) throw NotFound("'" + std::string(name) + "' was removed meanwhile");
  if (file.size() == 0) {
    os::ShmFile::remove(segment_file_name(name));
    return true;
  }
  segment.emplace(std::string(name), std::move(file));
  const bool half_made = segment->header().magic == 0 && segment->state() == wire::SegmentState::kEmpty;
  if (segment->header().magic != wire::kMagic && !half_made) segment->check({});
  // A segment of another version has its table elsewhere: nobody can say who lives in it.
  const bool same = segment->header().version == wire::kVersion && segment->header().layout == wire::kLayout;
  const bool lived_in =
      !half_made && (!same || Participants(segment->header(), segment->table(), fd).anyone_alive_but(0));
  if (lived_in && !force) return false;
  retire(*segment);
  return true;
}

}  // namespace shmlane
