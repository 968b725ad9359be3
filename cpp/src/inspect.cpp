// SPDX-License-Identifier: Apache-2.0
// Looking at segments through a read-only mapping, and removing what is left of them.
#include "shmlane/inspect.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "array_header.hpp"
#include "attachment.hpp"
#include "creation_lock.hpp"
#include "function_ref.hpp"
#include "os/barrier.hpp"
#include "os/filelock.hpp"
#include "queue_core.hpp"
#include "shmlane/error.hpp"
#include "stream_published.hpp"

namespace shmlane {
namespace {

os::ShmFile open_file(std::string_view name, bool writable) {
  std::optional<os::ShmFile> file = os::ShmFile::open(segment_file_name(name), writable);
  if (!file) {
    throw NotFound("there is no segment named '" + std::string(name) + "'; shmlane ls lists what there is");
  }
  return std::move(*file);
}

ParticipantInfo participant(const Participants& table, unsigned index, Segment& segment) {
  wire::ParticipantEntry& entry = table.entry(index);
  const EntryWord word = table.word(index);
  const ParticipantId id = make_id(index, word.generation);
  std::array<char, sizeof entry.process_name + 1> process_name{};
  std::memcpy(process_name.data(), entry.process_name, sizeof entry.process_name);
  const auto holds = [id](std::uint64_t& lock, std::uint32_t& busy) {
    return atomic(lock).load(kRelaxed) == id || atomic(busy).load(kRelaxed) != 0;
  };
  const bool queue = segment.kind() == wire::Kind::kQueue;
  wire::RingControl& ring = segment.control();
  return {.id = id,
          .index = index,
          .pid = entry.pid,
          .process_name = process_name.data(),
          .producer = (word.role & wire::kRoleProducer) != 0,
          .consumer = (word.role & wire::kRoleConsumer) != 0,
          .alive = table.alive(id, 0),
          .producers_lock = queue && holds(ring.producers_lock, entry.producers_busy),
          .consumers_lock = queue && holds(ring.consumers_lock, entry.consumers_busy),
          .write_lock = !queue && atomic(segment.stream_control().write_lock).load(kRelaxed) == id,
          .read_lock = segment.kind() == wire::Kind::kTensor && atomic(entry.consumers_busy).load(kRelaxed) != 0,
          .attached_ns = entry.attached_ns,
          .counters = entry_counters(entry),
          .holds = {}};
}

// One pass without a lock; what is met after the ring moved on under our feet is left out.
void collect_holds(const Ring& ring, std::vector<ParticipantInfo>& participants) {
  bool at_tail = true;
  try {
    ring.walk_all([&](Position position, Control control, wire::FrameHeader& header) {
      const bool oldest = at_tail;
      at_tail = at_tail && control.owner == 0 && control.state != wire::FrameState::kReady;
      if (control.owner == 0) return true;
      for (ParticipantInfo& info : participants) {
        if (info.id != control.owner) continue;
        info.at_tail = info.at_tail || oldest;
        info.holds.push_back({control.state, position, atomic(header.payload_size).load(kRelaxed)});
      }
      return true;
    });
  } catch (const Corrupt&) {
    return;
  }
}

void look_at_ring(Segment& segment, const Participants& table, SegmentInfo& info) {
  wire::RingControl& control = segment.control();
  info.items_waiters = atomic(control.items_waiters.value).load(kRelaxed);
  info.space_waiters = atomic(control.space_waiters.value).load(kRelaxed);
  std::optional<Ring> ring;
  if (segment.map_body()) {
    ring.emplace(segment.header(), control, segment.body(), segment.capacity(), table, info.name);
    info.objects = ring->contents().waiting;
    collect_holds(*ring, info.participants);
  }
  info.stat = queue_stat(table, ring ? &*ring : nullptr);
}

void look_at_array(Segment& segment, const Participants& table, SegmentInfo& info) {
  info.stat = queue_stat(table, nullptr);
  if (!segment.map_body()) return;
  const ArrayFacts facts = read_array_header(segment);
  ArrayInfo array;
  facts.dtype.append_json(array.dtype);
  array.shape.assign(facts.shape.begin(), facts.shape.end());
  array.nbytes = facts.nbytes;
  array.slots = facts.slots;
  if (info.kind == wire::Kind::kStream) {
    wire::StreamControl& words = segment.stream_control();
    array.count = Published::unpack(atomic(words.published.value).load(kAcquire)).count;
    array.write_time_ns = atomic(words.written_ns).load(kRelaxed);
    array.writer = atomic(words.writer).load(kRelaxed);
    info.items_waiters = atomic(words.value_bell.value).load(kRelaxed) & 1;
    info.space_waiters = atomic(words.lock_bell.value).load(kRelaxed) & 1;
    info.stat.pushed = array.count;
    info.stat.pushed_bytes = array.count * facts.nbytes;
  } else {
    info.space_waiters = atomic(segment.tensor_control().lock_bell.value).load(kRelaxed) & 1;
  }
  info.stat.capacity = info.stat.used = segment.capacity();
  info.array = std::move(array);
}

Participants table_of(Segment& segment) { return {segment.header(), segment.table(), segment.file().fd()}; }

// `judge` says under the creation lock whether it shall go; an empty file always goes.
bool remove_if(std::string_view name, FunctionRef<bool(Segment&, bool half_made)> judge) {
  os::ShmFile file = open_file(name, true);
  const int fd = file.fd();
  std::optional<Segment> segment;
  const CreationLock lock(fd, std::string(name));
  if (!file.has_name(segment_file_name(name))) throw NotFound("'" + std::string(name) + "' was removed meanwhile");
  if (file.size() == 0) {
    require_removable(file, std::string(name));
    os::ShmFile::remove(segment_file_name(name));
    return true;
  }
  segment.emplace(std::string(name), std::move(file));
  const bool half_made = segment->header().magic == 0 && segment->state() == wire::SegmentState::kEmpty;
  if (!judge(*segment, half_made)) return false;
  require_removable(segment->file(), segment->name());
  retire(*segment);
  return true;
}

unsigned reap_array(std::string_view name) {
  os::ShmFile file = open_file(name, true);
  const int fd = file.fd();
  std::optional<Segment> segment;
  const CreationLock lock(fd, std::string(name));
  segment.emplace(std::string(name), std::move(file));
  segment->check({});
  const unsigned reaped = table_of(*segment).reap_dead();
  ring_bells(*segment);
  return reaped;
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
  info.full_fence = (atomic(segment.header().flags).load(kRelaxed) & wire::kFlagFullFence) != 0;
  info.locked = os::byte_locked_elsewhere(segment.file().fd(), wire::kCreationLockByte);
  const Participants table(segment.header(), segment.table(), segment.file().fd());
  for (unsigned index = 0; index < table.used(); ++index) {
    if (table.word(index).live()) info.participants.push_back(participant(table, index, segment));
  }
  const auto look = info.kind == wire::Kind::kQueue ? look_at_ring : look_at_array;
  look(segment, table, info);
  return info;
}

bool remove_segment(std::string_view name, bool force) {
  return remove_if(name, [force](Segment& segment, bool half_made) {
    if (segment.header().magic != wire::kMagic && !half_made) segment.check({});
    // A segment of another version has its table elsewhere: nobody can say who lives in it.
    const bool same = segment.header().version == wire::kVersion && segment.header().layout == wire::kLayout;
    return force || half_made || (same && !table_of(segment).anyone_alive_but(0));
  });
}

bool remove_remains(std::string_view name, bool force) {
  return remove_if(name, [force](Segment& segment, bool half_made) {
    if (half_made) return true;
    segment.check({});
    const Participants table = table_of(segment);
    if (table.anyone_alive_but(0)) return false;
    if (force || segment.state() == wire::SegmentState::kEmpty || segment.state() == wire::SegmentState::kRemoved) {
      return true;
    }
    // The value of a stream outlives whoever wrote it.
    if (segment.kind() != wire::Kind::kQueue) return false;
    return table.find_dead(0).has_value() && (!segment.map_body() || count_objects(segment) == 0);
  });
}

unsigned reap_segment(std::string_view name) {
  const auto dead = [name] {
    const SegmentInfo info = inspect_segment(name);
    return std::count_if(info.participants.begin(), info.participants.end(),
                         [](const auto& who) { return !who.alive; });
  };
  const wire::Kind kind = inspect_segment(name).kind;
  if (kind == wire::Kind::kStream || kind == wire::Kind::kTensor) return reap_array(name);
  const std::ptrdiff_t before = dead();
  const QueueCore reaper(name, {.stale = Stale::kKeep}, 0, {});  // it reaps when it attaches
  return static_cast<unsigned>(std::max<std::ptrdiff_t>(0, before - dead()));
}

bool has_membarrier() noexcept { return os::register_barrier(); }

}  // namespace shmlane
