// SPDX-License-Identifier: Apache-2.0
// Attaching, leaving and starting anew; the numbers refer to the steps in attachment.hpp.
#include "attachment.hpp"

#include <cstring>

#include "bell.hpp"
#include "crash_point.hpp"
#include "creation_lock.hpp"
#include "os/clock.hpp"
#include "os/process.hpp"
#include "shmlane/error.hpp"
#include "shmlane/log.hpp"

namespace shmlane {
namespace {

constexpr std::uint64_t kLargestBody = std::uint64_t{1} << 46;

std::uint64_t whole_pages(std::uint64_t size) {
  if (size == 0 || size > kLargestBody) {
    throw InvalidArgument("a capacity of " + std::to_string(size) + " bytes is impossible; choose 1 byte to 64 TiB");
  }
  return (size + wire::kPageSize - 1) / wire::kPageSize * wire::kPageSize;
}

bool half_made(const os::ShmFile& file) {
  if (file.size() == 0) return true;
  if (file.size() < wire::kBodyOffset) return false;
  const auto map = file.map(0, sizeof(wire::SegmentHeader));
  auto& header = *static_cast<wire::SegmentHeader*>(map.get_address());
  return (header.magic == 0 || header.magic == wire::kMagic) &&
         atomic(header.state).load(kAcquire) == static_cast<std::uint32_t>(wire::SegmentState::kEmpty);
}

void set_state(wire::SegmentHeader& header, wire::SegmentState state) noexcept {
  atomic(header.state).store(static_cast<std::uint32_t>(state), kRelease);
}

void remove_semaphores(const std::string& name, std::uint64_t segment_id) {
  for (const char* which : {"items", "space"}) {
    SHMLANE_CRASH_POINT("segment.retire.semaphore");
    os::NamedSemaphore::remove(semaphore_name(name, segment_id, which));
  }
}

void make_semaphores(const std::string& name, std::uint64_t segment_id, unsigned mode) {
  for (const char* which : {"items", "space"}) {
    SHMLANE_CRASH_POINT("segment.make.semaphore");
    os::NamedSemaphore(semaphore_name(name, segment_id, which), mode);
  }
}

}  // namespace

void retire(Segment& segment) noexcept {
  SHMLANE_CRASH_POINT("segment.retire.state");
  set_state(segment.header(), wire::SegmentState::kRemoved);
  remove_semaphores(segment.name(), segment.header().segment_id);
  SHMLANE_CRASH_POINT("segment.retire.name");
  os::ShmFile::remove(segment_file_name(segment.name()));
  ring_bells(segment);
}

void ring_bells(Segment& segment) noexcept {
  if (segment.kind() == wire::Kind::kStream) {
    Bell(segment.stream_control().value_bell.value).ring_for_sure();
    Bell(segment.stream_control().lock_bell.value).ring_for_sure();
  } else if (segment.kind() == wire::Kind::kTensor) {
    Bell(segment.tensor_control().lock_bell.value).ring_for_sure();
  }
}

void require_removable(const os::ShmFile& file, const std::string& name) {
  if (file.removable()) return;
  throw PermissionDenied("'" + name + "' is a left-over of another user, who must remove it: shmlane rm " + name);
}

Attachment::Attachment(std::string_view name, AttachOptions options)
    : options_(std::move(options)), forks_seen_(os::fork_count()) {
  const std::string file_name = segment_file_name(name);
  if (options_.body_size) options_.body_size = whole_pages(*options_.body_size);
  while (!try_attach(file_name, std::string(name))) {
  }
  watch_forks();
}

Attachment::~Attachment() { ignore_forks(); }

// Steps 1 to 4; false means: start again.
bool Attachment::try_attach(const std::string& file_name, const std::string& name) {
  os::ShmFile file = open_file(file_name, name);
  const int fd = file.fd();
  const CreationLock lock(fd, name);  // ends before `file` and segment_, one of which keeps the descriptor open
  if (!file.has_name(file_name)) return false;
  const bool just_made = half_made(file);
  if (just_made && !options_.create) throw NotFound("'" + name + "' is only half made");
  if (just_made) make(file, name);
  segment_ = std::make_unique<Segment>(name, std::move(file));
  segment_->check(options_.kind);
  if (!options_.write_body) segment_->protect_body();
  participants_ = Participants(segment_->header(), segment_->table(), fd);
  if (segment_->state() == wire::SegmentState::kRemoved || !worth_keeping(just_made)) {
    require_removable(segment_->file(), name);
    retire(*segment_);
    return false;
  }
  if (options_.exclusive && segment_->state() == wire::SegmentState::kReady) {
    throw Exists("there is a segment named '" + name + "' already; open it, choose another name, or remove it first");
  }
  lay_out(just_made);
  join();
  return true;
}

os::ShmFile Attachment::open_file(const std::string& file_name, const std::string& name) const {
  if (options_.create) return os::ShmFile::open_or_create(file_name, options_.mode);
  std::optional<os::ShmFile> file = os::ShmFile::open(file_name);
  if (!file) {
    throw NotFound("there is no " + std::string(kind_name(options_.kind)) + " named '" + name +
                   "': create it first; shmlane ls lists what there is");
  }
  return std::move(*file);
}

// The state is stored last: until then the file counts as half-made, and who finds it so makes it anew.
void Attachment::make(os::ShmFile& file, const std::string& name) const {
  std::uint64_t segment_id = 0;
  try {
    SHMLANE_CRASH_POINT("segment.make.allocate");
    file.allocate(wire::kBodyOffset);
    const auto map = file.map(0, wire::kBodyOffset);
    auto& header = *static_cast<wire::SegmentHeader*>(map.get_address());
    remove_semaphores(name, header.segment_id);  // of a maker that died here
    SHMLANE_CRASH_POINT("segment.make.magic");
    atomic(header.magic).store(0, kRelaxed);  // whole: half a magic would make the file foreign to everybody
    SHMLANE_CRASH_POINT("segment.make.clear");
    std::memset(map.get_address(), 0, wire::kBodyOffset);
    segment_id = os::random_u64();
    SHMLANE_CRASH_POINT("segment.make.header");
    atomic(header.magic).store(wire::kMagic, kRelaxed);
    SHMLANE_CRASH_POINT("segment.make.version");
    header.version = wire::kVersion;
    header.kind = static_cast<std::uint32_t>(options_.kind);
    header.layout = wire::kLayout;
    header.segment_id = segment_id;
    SHMLANE_CRASH_POINT("segment.make.rest");
    header.body_offset = wire::kBodyOffset;
    header.created_ns = os::unix_time_ns();
    header.creator_pid = os::process_id();
    header.mode = options_.mode;
    if (options_.kind == wire::Kind::kQueue) make_semaphores(name, segment_id, options_.mode);
    SHMLANE_CRASH_POINT("segment.make.state");
    set_state(header, wire::SegmentState::kHeader);
  } catch (...) {
    remove_semaphores(name, segment_id);
    os::ShmFile::remove(segment_file_name(name));
    throw;
  }
}

// Step 2: what to do with a segment in which nobody lives.
bool Attachment::worth_keeping(bool just_made) {
  if (just_made || options_.stale == Stale::kKeep || participants_.anyone_alive_but(0)) return true;
  const bool crashed = participants_.find_dead(0).has_value();
  if (options_.stale == Stale::kAuto && !crashed) return true;
  const bool drain = options_.stale == Stale::kAuto && options_.role == wire::kRoleConsumer;
  std::uint64_t objects = 0;
  try {
    if (segment_->map_body()) objects = options_.count_objects(*segment_);
  } catch (const Corrupt& error) {
    if (drain) throw;
    log(LogLevel::kWarning, error.what());
  }
  if (drain && objects != 0) {
    log(LogLevel::kInfo, "queue '" + name() + "': a crash left " + std::to_string(objects) + " objects; they are read");
    return true;
  }
  log(objects != 0 ? LogLevel::kWarning : LogLevel::kInfo,
      "queue '" + name() + "': a segment that nobody uses is replaced; " + std::to_string(objects) +
          " objects in it are discarded");
  return false;
}

// Step 3. The state is stored last, so that a death before it leaves a header that anybody can lay out.
void Attachment::lay_out(bool just_made) {
  if (segment_->map_body()) {
    if (options_.check_body) options_.check_body(*segment_);
    if (options_.body_size && *options_.body_size != segment_->capacity()) {
      throw CapacityMismatch("'" + name() + "' has a capacity of " + std::to_string(segment_->capacity()) +
                             " bytes, not " + std::to_string(*options_.body_size) +
                             "; leave the capacity out to take what is there");
    }
    return;
  }
  const std::uint64_t size = options_.body_size.value_or(options_.default_body_size);
  if (size == 0 && options_.check_body) throw NotFound("'" + name() + "' is only half made: its maker died");
  if (size == 0) return;
  wire::SegmentHeader& header = segment_->header();
  try {
    SHMLANE_CRASH_POINT("segment.lay_out.allocate");
    segment_->file().cut_off(wire::kBodyOffset);  // what one who died here had begun to fill
    segment_->file().allocate(wire::kBodyOffset + size);
    if (options_.describe_body) options_.describe_body(*segment_);
  } catch (...) {
    if (just_made) retire(*segment_);
    throw;
  }
  SHMLANE_CRASH_POINT("segment.lay_out.size");
  header.body_size = size;
  SHMLANE_CRASH_POINT("segment.lay_out.state");
  set_state(header, wire::SegmentState::kReady);
  segment_->map_body();
}

// Step 4, and what a participant needs to sleep and be woken.
void Attachment::join() {
  wire::SegmentHeader& header = segment_->header();
  if (!os::register_barrier()) {
    SHMLANE_CRASH_POINT("segment.join.flags");
    atomic(header.flags).fetch_or(wire::kFlagFullFence, std::memory_order_acq_rel);
  }
  if (options_.kind == wire::Kind::kQueue) {
    open_wait_places();
  } else {
    participants_.reap_dead();
  }
  me_ = participants_.claim(options_.role, options_.policy);
  wake_everybody();
}

void Attachment::open_wait_places() {
  wire::SegmentHeader& header = segment_->header();
  wire::RingControl& control = segment_->control();
  const auto open = [&](const char* which) {
    return os::NamedSemaphore(semaphore_name(name(), header.segment_id, which), header.mode);
  };
  if (!items_) items_.emplace(control.items_waiters.value, header.flags, open("items"));
  if (!space_) space_.emplace(control.space_waiters.value, header.flags, open("space"));
}

// Who comes and goes tells nobody anything in a stream or a tensor.
void Attachment::wake_everybody() noexcept {
  if (items_) items_->wake_all();
  if (space_) space_->wake_all();
}

void Attachment::drop_role() noexcept {
  if (left_ || inherited() || !participants_.owns_entry(me_)) return;
  participants_.set_role(me_, 0);
  wake_everybody();
}

void Attachment::leave(const std::function<bool()>& settle) noexcept {
  // Two threads may end the last use, one of them that of an operation which was too late.
  if (inherited() || left_.exchange(true)) return;
  // Evicted, so that the entry may be somebody else's by now, or without the file, and for the others to reap.
  if (!participants_.owns_entry(me_) || !participants_.can_ask()) return;
  try {
    const CreationLock lock(segment_->file().fd(), name());
    const bool last = !participants_.anyone_alive_but(me_);
    const bool served = options_.role == wire::kRoleConsumer || participants_.seen(wire::kRoleConsumer);
    const bool finished = settle();
    // Another user's segment stays for its owner: as removed, with its name still there, it would be in the way.
    const bool may_remove = options_.unlink && segment_->file().removable();
    const bool unwanted = options_.owned || (last && served && finished);
    if (unwanted && may_remove && segment_->state() != wire::SegmentState::kRemoved) {
      retire(*segment_);
    }
    participants_.free_entry(me_);
  } catch (const std::exception& error) {
    // Some frames may still be ours: with the entry's word as it is, the others settle them as after a death.
    log(LogLevel::kWarning, "'" + name() + "': left without tidying up: " + error.what());
  }
  participants_.unlock_own_byte(me_);
  wake_everybody();
}

// The child shares its parent's open file description, and with it the lock that says who is alive: it gets its own.
void Attachment::in_forked_child() noexcept {
  if (!left_) static_cast<void>(segment_->file().reopen());
}

void Attachment::renew() {
  const std::lock_guard guard(fork_safe_);
  if (!inherited()) return;
  if (left_) throw Closed("'" + name() + "' was closed before the fork; open a new handle");
  if (!participants_.can_ask()) {
    throw Closed("'" + name() +
                 "' cannot be used in this forked child, whose descriptors were closed or which has no " +
                 "/proc; open a new handle");
  }
  const CreationLock lock(segment_->file().fd(), name());
  options_.owned = false;  // that is the parent
  join();
  if (options_.renewed) options_.renewed(me_);
  forks_seen_.store(os::fork_count(), std::memory_order_release);
}

}  // namespace shmlane
