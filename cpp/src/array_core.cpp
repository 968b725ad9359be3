// SPDX-License-Identifier: Apache-2.0
// Opening, locking and leaving a segment with one array.
#include "array_core.hpp"

#include "crash_point.hpp"
#include "creation_lock.hpp"
#include "shmlane/error.hpp"

namespace shmlane {
namespace {

void fill_body(Segment& segment, const ArrayFacts& array, const Fill& fill) {
  const auto body = segment.file().map(wire::kBodyOffset, array.body_size());
  SHMLANE_CRASH_POINT("array.fill");
  fill(static_cast<std::byte*>(body.get_address()));
  SHMLANE_CRASH_POINT("array.filled");
}

AttachOptions attach_options(const std::optional<ArrayFacts>& array, ArrayFacts& found, const ArrayOptions& options,
                             std::function<void(ParticipantId)> renewed, const Fill& fill) {
  AttachOptions result;
  result.kind = options.kind;
  result.stale = Stale::kKeep;
  result.mode = options.mode;
  result.create = result.exclusive = array.has_value();
  result.owned = array && options.owned;
  result.write_body = options.write_body;
  if (array) {
    result.body_size = array->body_size();
    // It outlives what `fill` refers to, and is not called then: only who lays the body out calls it.
    result.describe_body = [array, fill](Segment& segment) {
      write_array_header(*array, segment.array());
      if (fill) fill_body(segment, *array, fill);
    };
  }
  result.check_body = [&found](const Segment& segment) { found = read_array_header(segment); };
  result.renewed = std::move(renewed);
  return result;
}

// Both kinds have it at the same place.
std::uint64_t& lock_word(Segment& segment) { return segment.tensor_control().write_lock; }

std::uint64_t& lock_bell(Segment& segment) {
  return segment.kind() == wire::Kind::kStream ? segment.stream_control().lock_bell.value
                                               : segment.tensor_control().lock_bell.value;
}

}  // namespace

ArrayCore::ArrayCore(std::string_view name, const std::optional<ArrayFacts>& array, const ArrayOptions& options,
                     const Fill& fill)
    : options_(options),
      created_(array.has_value()),
      array_(array.value_or(ArrayFacts{})),
      attachment_(name, attach_options(
                            array, array_, options,
                            [this](ParticipantId me) {
                              uses_.forget();
                              lock_.forget();
                              created_ = false;
                              in_forked_child();
                              counted_for_.store(me, std::memory_order_relaxed);
                            },
                            fill)),
      lock_(lock_word(segment()), Bell(lock_bell(segment()), flags()), flags(), participants(), title()) {
  counted_for_.store(attachment_.me(), std::memory_order_relaxed);
}

void ArrayCore::renew() {
  // A child must not become a participant by a handle that is closed: nothing would ever end that.
  if (closed()) throw_unusable();
  static_cast<void>(attachment_.me());
}

void ArrayCore::refuse(ParticipantId me) {
  finish(me);
  throw_unusable();
}

void ArrayCore::leave() noexcept {
  attachment_.leave([] { return false; });
}

ParticipantId ArrayCore::lock_slowly(ParticipantId me, const os::Deadline& deadline) {
  try {
    if (lock_.lock(me, deadline, [this] { check_wait(); })) return me;
  } catch (...) {
    finish(me);
    throw;
  }
  finish(me);
  return 0;
}

void ArrayCore::check_wait() const {
  require_usable();
  if (options_.interrupt_check != nullptr) options_.interrupt_check();
}

void ArrayCore::cancel_waits() noexcept {
  cancellations_.fetch_add(1);
  ring_bells(segment());
}

void ArrayCore::close(bool keeps_lock) noexcept {
  if (closed_.exchange(true)) return;
  const ParticipantId me = participant();
  if (!attachment_.inherited()) cancel_waits();
  // What this thread took it will not give back any more.
  while (!keeps_lock && locked_here()) unlock(me);
  finish(me);
}

void ArrayCore::unlink() {
  if (closed()) throw_unusable();
  const CreationLock lock(segment().file().fd(), name());
  // Only this very segment: another one may have its name by now.
  if (segment().state() == wire::SegmentState::kRemoved || !segment().file().has_name(segment_file_name(name())))
    return;
  require_removable(segment().file(), name());
  retire(segment());
}

std::string ArrayCore::title() const { return std::string(kind_name(options_.kind)) + " '" + name() + "'"; }

void ArrayCore::throw_unusable() const {
  if (closed()) {
    const char* const how = options_.kind == wire::Kind::kStream ? "open" : "attach";
    throw Closed("the handle of " + title() + " is closed; open it again with " + how + "(\"" + name() + "\")");
  }
  throw Removed("the " + title() + " was removed; create it anew, then open it again");
}

void ArrayCore::throw_unlocked() const {
  throw Unlocked("the " + title() + " is unlocked: this thread does not hold its lock; call acquire() first");
}

}  // namespace shmlane
