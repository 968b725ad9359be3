// SPDX-License-Identifier: Apache-2.0
// Streams and write views: thin owners of a StreamCore.
#include "shmlane/stream.hpp"

#include <utility>

#include "array_names.hpp"
#include "stream_core.hpp"

namespace shmlane {
namespace {

constexpr std::uint64_t kLarge = std::uint64_t{16} << 20;

// One more than the fewest, so that a reader that is as quick as the writer is hardly ever outrun.
std::uint32_t slots_for(const DType& dtype, const Dims& shape, unsigned asked) {
  if (asked == 0) return describe_array(dtype, shape, 1).nbytes < kLarge ? wire::kMinSlots + 1 : wire::kMinSlots;
  if (asked < wire::kMinSlots || asked > wire::kMaxSlots) {
    throw InvalidArgument("a stream has 3 to 255 slots, not " + std::to_string(asked));
  }
  return asked;
}

[[noreturn]] void throw_other_array(const StreamCore& core, const std::string& given) {
  throw InvalidArgument("stream '" + core.name() + "': expected shape " + shape_text(core.array().shape) + " of " +
                        core.array().dtype.text() + ", got " + given);
}

void require_size(const StreamCore& core, std::size_t size) {
  if (size != core.array().nbytes) [[unlikely]]
    throw_other_array(core, std::to_string(size) + " bytes");
}

// The lock to the end of a scope. Thin, because it is taken for every write.
class LockedScope {
 public:
  LockedScope(StreamCore& core, const Timeout& timeout) : core_(core), me_(core.lock(os::Deadline(timeout))) {}
  LockedScope(const LockedScope&) = delete;
  LockedScope& operator=(const LockedScope&) = delete;
  ~LockedScope() {
    if (me_ != 0) core_.unlock(me_);
  }
  [[nodiscard]] ParticipantId me() const noexcept { return me_; }

 private:
  StreamCore& core_;
  ParticipantId me_;
};

template <class Fill>
std::optional<std::uint64_t> replace(StreamCore& core, const Timeout& timeout, Fill&& fill) {
  const LockedScope lock(core, timeout);
  if (lock.me() == 0) return std::nullopt;
  std::byte* const slot = core.begin_write();
  try {
    fill(slot);
  } catch (...) {
    core.cancel_write();
    throw;
  }
  return core.publish(lock.me());
}

}  // namespace

// ---- WriteView -----------------------------------------------------------------------------------------------------

WriteView& WriteView::operator=(WriteView&& other) noexcept {
  if (this == &other) return *this;
  abort();
  core_ = std::move(other.core_);
  slot_ = other.slot_;
  participant_ = other.participant_;
  return *this;
}

std::span<std::byte> WriteView::bytes() const {
  if (core_ == nullptr) throw Closed("this write view was committed or aborted already");
  return slot_;
}

void WriteView::check(std::uint64_t itemsize, const DType& dtype) const {
  static_cast<void>(bytes());
  const DType& mine = core_->array().dtype;
  if (mine.text() != dtype.text() || mine.itemsize() != itemsize) {
    throw WrongType("stream '" + core_->name() + "' has items of dtype " + mine.text() + ", not " + dtype.text());
  }
}

std::uint64_t WriteView::commit() {
  if (core_ == nullptr) throw Closed("this write view was committed or aborted already");
  if (!core_->owns(participant_))
    throw Closed("this write view belongs to the parent process; make one after the fork");
  const std::shared_ptr<StreamCore> core = std::move(core_);
  try {
    const std::uint64_t count = core->publish(participant_);
    core->unlock(participant_);
    return count;
  } catch (...) {
    core->unlock(participant_);
    throw;
  }
}

void WriteView::abort() noexcept {
  if (core_ == nullptr) return;
  const std::shared_ptr<StreamCore> core = std::move(core_);
  if (!core->owns(participant_)) return;
  core->cancel_write();
  core->unlock(participant_);
}

// ---- Stream --------------------------------------------------------------------------------------------------------

Stream Stream::create(std::string_view name, const DType& dtype, const Dims& shape, const StreamOptions& options) {
  const ArrayFacts array = describe_array(dtype, shape, slots_for(dtype, shape, options.slots));
  return Stream(std::make_shared<StreamCore>(name, array, options));
}

Stream Stream::open(std::string_view name, const StreamOptions& options) {
  return Stream(std::make_shared<StreamCore>(name, std::nullopt, options));
}

Stream& Stream::operator=(Stream&& other) noexcept {
  if (core_ != nullptr && core_ != other.core_) core_->close();
  core_ = std::move(other.core_);
  return *this;
}

Stream::~Stream() {
  if (core_ != nullptr) core_->close();
}

StreamCore& Stream::core() const {
  if (core_ == nullptr) [[unlikely]]
    throw Closed("this handle was moved from; use the one it was moved to");
  return *core_;
}

const std::string& Stream::name() const noexcept {
  static const std::string nothing;
  return core_ != nullptr ? core_->name() : nothing;
}

const DType& Stream::dtype() const { return core().array().dtype; }
const Dims& Stream::shape() const { return core().array().shape; }
std::uint64_t Stream::nbytes() const { return core().array().nbytes; }
unsigned Stream::slots() const { return core().array().slots; }
bool Stream::owner() const noexcept { return core_ != nullptr && core_->created(); }
std::uint64_t Stream::missed() const noexcept { return core_ != nullptr ? core_->missed() : 0; }
std::uint64_t Stream::last_read() const noexcept { return core_ != nullptr ? core_->last_read() : 0; }

std::uint64_t Stream::count() const {
  core().require_usable();
  return core().published().count;
}

StreamStat Stream::stat() const { return core().stat(); }

std::uint64_t Stream::participant() const { return core().participant(); }

bool Stream::is_alive(std::uint64_t participant) const { return core().is_alive(participant); }

std::string Stream::describe() const {
  const StreamStat stat = this->stat();
  const auto line = [](const std::string& field, const std::string& value) {
    return field + std::string(16 - field.size(), ' ') + value + "\n";
  };
  const auto seconds = [](std::uint64_t ns) { return std::to_string(static_cast<double>(ns) / 1e9) + " s"; };
  std::string text = line("name", name()) + line("dtype", dtype().text()) + line("shape", shape_text(shape())) +
                     line("size", std::to_string(nbytes()) + " bytes") + line("slots", std::to_string(slots())) +
                     line("count", std::to_string(stat.count)) +
                     line("write_sequence", std::to_string(stat.write_sequence));
  text += line("age", stat.write_time_ns == 0 ? "never written" : seconds(stat.age_ns));
  return text + line("writer", stat.writer_pid == 0 ? "none"
                               : stat.writer_alive  ? "process " + std::to_string(stat.writer_pid)
                                                    : "process " + std::to_string(stat.writer_pid) + ", dead");
}

void Stream::throw_other_items(const DType& given) const {
  throw_other_array(core(), "items of dtype " + given.text());
}

std::uint64_t Stream::read(std::span<std::byte> out) const {
  require_size(core(), out.size());
  return core_->read(out.data());
}

std::optional<std::uint64_t> Stream::read_new(std::span<std::byte> out, Timeout timeout) {
  return read_after(count(), out, timeout);
}

std::optional<std::uint64_t> Stream::read_after(std::uint64_t count, std::span<std::byte> out, Timeout timeout) {
  require_size(core(), out.size());
  if (!core_->wait_after(count, os::Deadline(timeout))) return std::nullopt;
  return core_->read(out.data());
}

bool Stream::wait_after(std::uint64_t count, Timeout timeout) {
  return core().wait_after(count, os::Deadline(timeout));
}

void Stream::cancel_wait() {
  if (core_ != nullptr) core_->cancel_waits();
}

std::optional<std::uint64_t> Stream::write(std::span<const std::byte> value, Timeout timeout) {
  require_size(core(), value.size());
  return replace(*core_, timeout, [&](std::byte* slot) { shared_copy(slot, value.data(), value.size()); });
}

std::optional<std::uint64_t> Stream::write(const NdView& value, Timeout timeout) {
  const ArrayFacts& array = core().array();
  if (value.dtype != array.dtype || value.shape != array.shape) {
    throw_other_array(*core_, value.dtype.text() + " " + shape_text(value.shape));
  }
  return replace(*core_, timeout, [&](std::byte* slot) { Codec<NdView>::write(value, {slot, array.nbytes}); });
}

std::optional<WriteView> Stream::write_view(bool keep, Timeout timeout) {
  StreamCore& core = this->core();
  const ParticipantId me = core.lock(os::Deadline(timeout));
  if (me == 0) return std::nullopt;
  try {
    std::byte* const slot = core.begin_write();
    if (keep) shared_copy(slot, core.newest(), core.array().nbytes);
    return WriteView(core_, {slot, core.array().nbytes}, me);
  } catch (...) {
    core.unlock(me);
    throw;
  }
}

std::optional<std::uint64_t> Stream::clear(Timeout timeout) {
  return replace(core(), timeout, [this](std::byte* slot) { shared_clear(slot, core_->array().nbytes); });
}

bool Stream::acquire(Timeout timeout) { return core().lock(os::Deadline(timeout)) != 0; }

void Stream::release() {
  if (!core().locked_here()) core_->throw_unlocked();
  core_->unlock(core_->participant());
}

bool Stream::locked_here() const noexcept { return core_ != nullptr && core_->locked_here(); }

NdView Stream::live() const {
  core().require_usable();
  if (!core_->locked_here()) core_->throw_unlocked();
  return NdView::contiguous(core_->array().dtype, core_->array().shape, core_->newest());
}

std::uint64_t Stream::write_locked(const NdView& value) {
  if (!core().locked_here()) core_->throw_unlocked();
  return write(value).value();
}

bool Stream::closed() const noexcept { return core_ == nullptr || core_->closed(); }

void Stream::close() {
  if (core_ != nullptr) core_->close();
}

void Stream::unlink() { core().unlink(); }

bool unlink_stream(std::string_view name) { return remove_of_kind(name, wire::Kind::kStream); }

std::vector<std::string> list_streams() { return names_of_kind(wire::Kind::kStream); }

}  // namespace shmlane
