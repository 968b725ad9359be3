// SPDX-License-Identifier: Apache-2.0
// What becomes of a frame after its commit, seen by the producer that sent it.
#include <utility>

#include "frame_access.hpp"
#include "queue_core.hpp"
#include "shmlane/error.hpp"
#include "shmlane/hold.hpp"

namespace shmlane {

SentFrame::SentFrame(const Reservation& reservation)
    : frame_(reservation.frame_), position_(reservation.position_), participant_(reservation.participant_) {
  if (reservation.core_ == nullptr) throw Closed("this reservation was committed or aborted already");
  core_ = reservation.core_;
  if (core_->owns(participant_)) core_->enter_again();
}

SentFrame::SentFrame(SentFrame&& other) noexcept
    : core_(std::move(other.core_)),
      frame_(other.frame_),
      position_(other.position_),
      participant_(other.participant_) {}

SentFrame& SentFrame::operator=(SentFrame&& other) noexcept {
  if (this == &other) return *this;
  let_go();
  core_ = std::move(other.core_);
  frame_ = other.frame_;
  position_ = other.position_;
  participant_ = other.participant_;
  return *this;
}

SentFrame::~SentFrame() { let_go(); }

void SentFrame::let_go() noexcept {
  if (core_ != nullptr) std::exchange(core_, nullptr)->exit(participant_);
}

bool SentFrame::in_use() const noexcept {
  if (core_ == nullptr) return false;
  Segment& segment = core_->attachment().segment();
  // Pairs with the release store of tail: what lies before it is finished, and may be another frame by now.
  if (position_ < atomic(segment.control().tail).load(kAcquire)) return false;
  auto& header = *reinterpret_cast<wire::FrameHeader*>(frame_);
  // Pairs with the release store of the frame's state, before which its reader has read all.
  const auto state = Control::unpack(atomic(header.control).load(kAcquire)).state;
  // A position never comes again, so another frame in this place shows by its sentinel (W-21).
  const std::uint64_t extent = frame_access::load_once(header.extent);
  const bool same = frame_access::load_once(header.open_sentinel) ==
                    wire::open_sentinel(segment.header().segment_id, position_, extent);
  return same && !finished(state);
}

}  // namespace shmlane
