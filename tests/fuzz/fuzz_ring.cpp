// SPDX-License-Identifier: Apache-2.0
// Every operation on a queue whose words somebody scribbles over, between any two of them (SPEC section 5): each ends,
// with a result or an error, and touches nothing but the mapping.
// Input: steps, each of them one byte that says what is done, and what that needs.
#include <optional>
#include <vector>

#include "attachment.hpp"
#include "hostile.hpp"
#include "input.hpp"
#include "ring.hpp"
#include "shmlane/codecs.hpp"
#include "shmlane/error.hpp"
#include "shmlane/inspect.hpp"
#include "shmlane/log.hpp"
#include "shmlane/queue.hpp"

using namespace shmlane;

namespace {

constexpr std::string_view kBytes = R"({"type":"bytes"})";
constexpr std::uint64_t kCapacity = 8192;
constexpr std::size_t kMostSteps = 64;
constexpr std::size_t kMostHolds = 8;

ProducerOptions options(Policy policy, std::uint64_t max_objects) {
  return {{.capacity = kCapacity}, policy, forever, max_objects};
}

// A queue with handles of every sort, and a ring of its own for what no handle does by itself.
class World {
 public:
  World() : name_(fuzz::segment_name()) {
    set_log_level(LogLevel::kOff);
    producers_.emplace_back(name_, options(Policy::kBlock, 0));
    producers_.emplace_back(name_, options(Policy::kDropOldest, 0));
    producers_.emplace_back(name_, options(Policy::kDropNewest, 0));
    producers_.emplace_back(name_, options(Policy::kBlock, 3));
    producers_.emplace_back(name_, options(Policy::kDropOldest, 3));
    consumers_.emplace_back(name_);
    consumers_.emplace_back(name_, ConsumerOptions{{}, wire::OnDeath::kDrop, 1});
    for (int i = 0; i < 3; ++i) producers_[0].push(std::string(200, 'x'), no_wait);
    file_.emplace(*os::ShmFile::open(segment_file_name(name_), true));
    raw_.emplace(name_);
    for (unsigned index = 0; index < kHandles; ++index) living_.push_back(make_id(index, 1));
    std::vector<ParticipantId> ids = living_;
    ids.insert(ids.end(), {0, make_id(0, 2), make_id(kHandles, 1), make_id(511, 1), make_id(512, 0), 0xffffffffffff});
    scribbler_.emplace(*raw_, ids);
    participants_ = Participants(raw_->header(), &raw_->entry(0), file_->fd());
    ring_.emplace(raw_->header(), raw_->control(), raw_->bytes() + wire::kBodyOffset, kCapacity, participants_, name_);
    before_.assign(raw_->bytes(), raw_->bytes() + raw_->size());
  }

  // Also what lies on pages that nobody wrote to is put back: it costs less than to find out.
  void put_back() {
    for (const auto& [begin, size] : {std::pair<std::size_t, std::size_t>{0, sizeof(wire::SegmentHeader)},
                                      {wire::kTableOffset, fuzz::Scribbler::kEntries * sizeof(wire::ParticipantEntry)},
                                      {wire::kControlOffset, sizeof(wire::RingControl)},
                                      {wire::kBodyOffset, kCapacity}}) {
      std::memcpy(raw_->bytes() + begin, before_.data() + begin, size);
    }
  }

  void end_holds() {
    reservations_.clear();
    leases_.clear();
  }

  // Errors are answers, too; anything else that is thrown is not.
  void step(fuzz::Input& input) {
    const auto what = input.take<std::uint8_t>();
    if (what < 0x60) {
      scribbler_->scribble(input);
      return unlock_the_living();
    }
    try {
      if (what < 0xa0) {
        produce(producers_[what % producers_.size()], what >> 3 & 7, input);
      } else if (what < 0xe0) {
        consume(consumers_[what & 1], what >> 1 & 15, input);
      } else {
        look(what & 7, input);
      }
    } catch (const Error&) {
    }
  }

 private:
  static constexpr unsigned kHandles = 7;

  // Waiting for somebody who lives is right, and only slow.
  void unlock_the_living() {
    wire::RingControl& control = raw_->control();
    for (std::uint64_t* lock : {&control.producers_lock, &control.consumers_lock}) {
      if (participants_.alive(*lock, 0)) *lock = 0;
    }
  }

  void produce(Producer& producer, unsigned what, fuzz::Input& input) {
    const std::size_t size = input.below(kCapacity);
    switch (what) {
      case 0:
        producer.push(std::vector<std::byte>(size), no_wait);
        break;
      case 1:
      case 2:
        producer.push(std::vector<std::byte>(size % 512), no_wait);
        break;
      case 3: {
        const std::vector<std::vector<std::byte>> batch(1 + size % 7, std::vector<std::byte>(size % 999));
        producer.push_many<std::vector<std::byte>>(batch, no_wait);
        break;
      }
      case 4:
        if (reservations_.size() == kMostHolds) break;
        if (auto mine = producer.reserve(kBytes, size % 1024, no_wait)) reservations_.push_back(std::move(*mine));
        break;
      case 5:
        end_reservation(input);
        break;
      case 6:
        producer.wait(no_wait);
        break;
      default:
        static_cast<void>(producer.why_full());
    }
  }

  void end_reservation(fuzz::Input& input) {
    if (reservations_.empty()) return;
    Reservation mine = std::move(reservations_.back());
    reservations_.pop_back();
    const auto how = input.take<std::uint8_t>();
    if (how % 4 == 0) return mine.abort();
    std::ranges::fill(mine.payload(), std::byte{7});
    if (how % 4 == 1) return mine.commit(R"({"type":"x"})", mine.payload().size() / 2);
    mine.commit();
  }

  static void touch(const Received& received) {
    fuzz::touch(received.metadata_text());
    fuzz::touch(received.payload());
    static_cast<void>(received.get<std::span<const std::byte>>());
  }

  void consume(Consumer& consumer, unsigned what, fuzz::Input& input) {
    if (what < 5) {
      if (const auto object = consumer.pop(no_wait)) touch(*object);
    } else if (what < 7) {
      for (const Object& object : consumer.pop_many(5, no_wait)) touch(object);
    } else if (what < 10 && leases_.size() < kMostHolds) {
      if (auto lease = consumer.acquire(no_wait)) {
        touch(*lease);
        leases_.push_back(*std::move(lease));
      }
    } else if (what < 11 && leases_.size() < kMostHolds) {
      for (Lease& lease : consumer.acquire_many(3, no_wait)) leases_.push_back(std::move(lease));
    } else if (what < 14 && !leases_.empty()) {
      leases_.erase(leases_.begin() + static_cast<std::ptrdiff_t>(input.below(leases_.size())));
    } else {
      consumer.wait(no_wait);
    }
  }

  void look(unsigned what, fuzz::Input& input) {
    const ParticipantId me = living_[input.below(living_.size())];
    const os::Deadline soon(no_wait);
    switch (what) {
      case 0:
        static_cast<void>(inspect_segment(name_));
        break;
      case 1:
        fuzz::expect(consumers_[0].stat().capacity == kCapacity, "the capacity changed");
        break;
      case 2:
        static_cast<void>(consumers_[0].size());
        break;
      case 3:
        static_cast<void>(ring_->empty());
        break;
      case 4:
        static_cast<void>(ring_->obstacle());
        break;
      case 5:
        static_cast<void>(ring_->give_back_all(me, soon));
        break;
      default:
        if (const auto dead = participants_.find_dead(me, 0)) ring_->reap(me, *dead, soon);
    }
  }

  std::string name_;
  std::vector<Producer> producers_;
  std::vector<Consumer> consumers_;
  std::vector<Reservation> reservations_;
  std::vector<Lease> leases_;
  std::optional<os::ShmFile> file_;
  std::optional<raw::Segment> raw_;
  std::vector<ParticipantId> living_;
  std::optional<fuzz::Scribbler> scribbler_;
  Participants participants_;
  std::optional<Ring> ring_;
  std::vector<std::byte> before_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Never destroyed: its memory is not to be trusted. The files go at the end.
  static auto* const world = [] {
    std::atexit([] { fuzz::remove_files(fuzz::segment_name()); });
    return new World;
  }();
  fuzz::Input input(data, size);
  for (std::size_t steps = 0; steps < kMostSteps && !input.empty(); ++steps) world->step(input);
  world->end_holds();
  world->put_back();
  return 0;
}
