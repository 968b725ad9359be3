// SPDX-License-Identifier: Apache-2.0
// Handles, reservations and leases: thin owners of a QueueCore.
#include "shmlane/queue.hpp"

#include <utility>

#include "frame_access.hpp"
#include "queue_core.hpp"
#include "ring_ordinary.hpp"
#include "ring_taking.hpp"
#include "shmlane/error.hpp"

namespace shmlane {
namespace {

QueueCore& open_core(const std::shared_ptr<QueueCore>& core) {
  if (core == nullptr) throw Closed("this handle was moved from; use the one it was moved to");
  return *core;
}

}  // namespace

// ---- QueueHandle ---------------------------------------------------------------------------------------------------

QueueHandle::~QueueHandle() {
  if (core_ != nullptr) core_->close();
}

QueueHandle& QueueHandle::operator=(QueueHandle&& other) noexcept {
  if (core_ != nullptr && core_ != other.core_) core_->close();
  core_ = std::move(other.core_);
  return *this;
}

const std::string& QueueHandle::name() const noexcept {
  static const std::string nothing;
  return core_ != nullptr ? core_->attachment().name() : nothing;
}

std::uint64_t QueueHandle::capacity() const {
  Ring* const ring = open_core(core_).ring();
  return ring != nullptr ? ring->capacity() : 0;
}

bool QueueHandle::closed() const noexcept { return core_ == nullptr || core_->closed(); }

QueueStat QueueHandle::stat() const { return open_core(core_).stat(); }

std::uint64_t QueueHandle::size() const {
  Ring* const ring = open_core(core_).ring();
  return ring != nullptr ? ring->contents().waiting : 0;
}

void QueueHandle::close() {
  if (core_ != nullptr) core_->close();
}

void QueueHandle::cancel_wait() {
  if (core_ != nullptr) core_->cancel_waits();
}

std::uint64_t QueueHandle::participant() { return QueueCore::Use(open_core(core_)).me(); }

bool QueueHandle::is_alive(std::uint64_t participant) {
  QueueCore& core = open_core(core_);
  return core.participants().alive(participant, QueueCore::Use(core).me());
}

bool QueueHandle::wait_for_releases(const std::function<bool()>& done, Timeout timeout) {
  QueueCore& core = open_core(core_);
  const QueueCore::Use use(core);
  if (done()) return true;
  if (timeout && timeout->count() <= 0) {
    core.reap_now_and_then(use.me(), no_wait);
    return done();
  }
  return core.wait_until(core.attachment().space(), os::Deadline(timeout), done, done,
                         [] { return std::uint64_t{0}; }) == QueueCore::Waited::kDone;
}

// ---- Reservation ---------------------------------------------------------------------------------------------------

Reservation::Reservation(Reservation&& other) noexcept
    : core_(std::move(other.core_)),
      frame_(other.frame_),
      position_(other.position_),
      participant_(other.participant_),
      extents_(other.extents_),
      metadata_(std::move(other.metadata_)) {}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this == &other) return *this;
  abort();
  core_ = std::move(other.core_);
  frame_ = other.frame_;
  position_ = other.position_;
  participant_ = other.participant_;
  extents_ = other.extents_;
  metadata_ = std::move(other.metadata_);
  return *this;
}

Reservation::~Reservation() { abort(); }

std::span<std::byte> Reservation::payload() const {
  if (core_ == nullptr) throw Closed("this reservation was committed or aborted already");
  return {frame_ + extents_.payload_offset, extents_.payload_size};
}

void Reservation::commit() { commit(metadata_, extents_.payload_size); }

void Reservation::commit(std::string_view metadata, std::uint64_t payload_size) {
  if (core_ == nullptr) throw Closed("this reservation was committed or aborted already");
  if (payload_size > extents_.payload_size) {
    throw TooLarge("cannot commit " + std::to_string(payload_size) + " bytes into a reservation of " +
                   std::to_string(extents_.payload_size));
  }
  const std::uint64_t room = extents_.payload_offset - wire::kMetadataOffset - wire::kSentinelSize;
  if (metadata.size() > room) {
    throw TooLarge("cannot commit " + std::to_string(metadata.size()) +
                   " bytes of metadata into a reservation with room for " + std::to_string(room));
  }
  if (!core_->owns(participant_))
    throw Closed("this reservation belongs to the parent process; reserve anew after fork");
  extents_.payload_size = payload_size;
  extents_.metadata_size = static_cast<std::uint32_t>(metadata.size());
  frame_access::write(frame_, extents_, metadata);
  const std::shared_ptr<QueueCore> core = std::move(core_);
  try {
    core->ring()->commit(participant_, {position_, frame_});
  } catch (...) {
    core->exit(participant_);
    throw;
  }
  core->attachment().items().wake_one();
  core->exit(participant_);
}

void Reservation::abort() noexcept {
  if (core_ == nullptr) return;
  const std::shared_ptr<QueueCore> core = std::move(core_);
  if (!core->owns(participant_)) return;
  core->ring()->abort(participant_, {position_, frame_});
  core->attachment().space().wake_one();
  core->attachment().items().wake_one();  // the end of stream may be near
  core->exit(participant_);
}

// ---- Lease ---------------------------------------------------------------------------------------------------------

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this == &other) return *this;
  release();
  core_ = std::exchange(other.core_, nullptr);
  frame_ = other.frame_;
  participant_ = other.participant_;
  Received::operator=(std::move(other));
  return *this;
}

void Lease::release() noexcept {
  invalidate();
  QueueCore* const core = std::exchange(core_, nullptr);
  if (core == nullptr || !core->owns(participant_)) return;
  core->ring()->release(participant_, frame_);
  core->attachment().space().wake_one();
  core->exit_owned();
}

// ---- LeasedBatch -----------------------------------------------------------------------------------------------------

LeasedBatch& LeasedBatch::operator=(LeasedBatch&& other) noexcept {
  if (this == &other) return *this;
  release();
  core_ = std::exchange(other.core_, nullptr);
  frames_ = std::move(other.frames_);
  participant_ = other.participant_;
  return *this;
}

void LeasedBatch::release() noexcept {
  const std::vector<Frame> frames = std::move(frames_);
  frames_.clear();
  QueueCore* const core = std::exchange(core_, nullptr);
  if (core == nullptr || !core->owns(participant_)) return;
  Ring& ring = *core->ring();
  for (const Frame& frame : frames) ring.release(participant_, frame.frame_);
  core->attachment().space().wake(frames.size());
  core->exit_owned();
}

}  // namespace shmlane
