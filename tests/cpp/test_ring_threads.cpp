// SPDX-License-Identifier: Apache-2.0
// The ring between threads that share one mapping, so that the thread sanitizer sees both ends of every frame: payloads
// are ordinary memory, and only the control words keep their writers and readers apart.
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "lock.hpp"
#include "os/filelock.hpp"
#include "os/shm.hpp"
#include "ring.hpp"
#include "ring_ordinary.hpp"
#include "ring_taking.hpp"
#include "segment.hpp"
#include "support/payloads.hpp"
#include "support/raw_segment.hpp"
#include "support/shm.hpp"

namespace {

namespace os = shmlane::os;
namespace wire = shmlane::wire;
using namespace std::chrono_literals;
using shmlane::Locked;
using shmlane::OwnerLock;
using shmlane::ParticipantId;
using shmlane::Participants;
using shmlane::Place;
using shmlane::Ring;

constexpr std::string_view kBytes = R"({"type":"bytes"})";
constexpr std::uint64_t kCapacity = 8192;
constexpr auto kPatience = 20s;
constexpr auto alone = [] { return true; };  // nobody here keeps a lease beyond its next acquire

// A ring with as many participants as asked for. Their bytes are locked through one open file and asked for through
// another, as between processes. Each participant has a Ring of its own, as each handle has.
class World {
 public:
  World(const std::string& name, unsigned participants)
      : file_name_(shmlane::segment_file_name(name)),
        raw_(name, wire::kBodyOffset + kCapacity),
        owners_(*os::ShmFile::open(file_name_)),
        askers_(*os::ShmFile::open(file_name_)),
        table_(raw_.header(), &raw_.entry(0), askers_.fd()) {
    raw_.header().used_entries = participants;
    for (unsigned index = 0; index < participants; ++index) {
      come(index, 1);
      rings_.push_back(std::make_unique<Ring>(raw_.header(), raw_.control(), raw_.bytes() + wire::kBodyOffset,
                                              kCapacity, table_, name));
    }
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() { os::ShmFile::remove(file_name_); }

  ParticipantId come(unsigned index, std::uint32_t generation) {
    if (!os::try_lock_byte(owners_.fd(), wire::kEntryLockByte + index)) throw std::runtime_error("the byte is taken");
    wire::ParticipantEntry& entry = raw_.entry(index);
    entry.max_attempts = 255;
    entry.oldest_lease = ~std::uint64_t{0};
    const shmlane::EntryWord word{wire::EntryState::kLive, wire::kRoleProducer, generation};
    shmlane::atomic(entry.word).store(word.pack(), shmlane::kRelease);
    return shmlane::make_id(index, generation);
  }
  void die(unsigned index) { os::unlock_byte(owners_.fd(), wire::kEntryLockByte + index); }

  [[nodiscard]] Ring& ring(unsigned index) noexcept { return *rings_[index]; }
  [[nodiscard]] wire::ParticipantEntry& entry(unsigned index) noexcept { return raw_.entry(index); }
  [[nodiscard]] wire::RingControl& control() noexcept { return raw_.control(); }
  [[nodiscard]] const Participants& table() const noexcept { return table_; }
  [[nodiscard]] const std::uint32_t& flags() const noexcept { return raw_.header().flags; }

 private:
  std::string file_name_;
  raw::Segment raw_;
  os::ShmFile owners_;
  os::ShmFile askers_;
  Participants table_;
  std::vector<std::unique_ptr<Ring>> rings_;
};

// By turns in the ordinary way and in the other.
void push(Ring& ring, ParticipantId me, payloads::Stamp stamp, std::size_t size) {
  const shmlane::FrameExtents extents = shmlane::frame_extents(kBytes.size(), size);
  Place place{};
  while (!(stamp.sequence % 2 == 0 && ring.reserve_one(me, extents, place)) &&
         ring.reserve(me, {&extents, 1}, {}, os::Deadline(kPatience), {&place, 1}) == 0) {
    std::this_thread::yield();
  }
  payloads::fill_stamped({place.frame + extents.payload_offset, size}, stamp);
  shmlane::write_frame(place.frame, extents, kBytes);
  ring.commit(me, place);
}

TEST_CASE_FIXTURE(ShmTest, "threads on one mapping pass frames whole, each once and in its producer's order") {
  constexpr unsigned kProducers = 3, kConsumers = 3, kEach = 3000;
  World world(name(), kProducers + kConsumers);
  std::vector<std::atomic<int>> seen(kProducers * kEach);
  std::atomic<unsigned> taken{0}, wrong{0};
  std::vector<std::thread> threads;
  for (unsigned p = 0; p < kProducers; ++p) {
    threads.emplace_back([&, p] {
      for (unsigned i = 0; i < kEach; ++i) push(world.ring(p), shmlane::make_id(p, 1), {p, i}, 8 + i % 300);
    });
  }
  for (unsigned c = kProducers; c < kProducers + kConsumers; ++c) {
    threads.emplace_back([&, c] {
      Ring& ring = world.ring(c);
      const ParticipantId me = shmlane::make_id(c, 1);
      std::array<std::int64_t, kProducers> last{-1, -1, -1};
      std::array<Place, 3> places;
      while (taken.load() < kProducers * kEach) {
        const std::size_t count = ring.acquire(me, alone, os::Deadline(kPatience), {places.data(), 1 + taken % 3});
        for (std::size_t i = 0; i < count; ++i) {
          const payloads::Stamp stamp = payloads::check_stamped(ring.view(places[i]).payload);
          wrong += std::int64_t{stamp.sequence} <= last[stamp.producer];
          last[stamp.producer] = stamp.sequence;
          seen[stamp.producer * kEach + stamp.sequence].fetch_add(1);
          ring.release(me, places[i].frame);
        }
        taken += static_cast<unsigned>(count);
        if (count == 0) std::this_thread::yield();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(std::all_of(seen.begin(), seen.end(), [](const auto& count) { return count == 1; }));
}

TEST_CASE_FIXTURE(ShmTest, "threads that reap one dead consumer at once give its leases back once") {
  constexpr unsigned kReapers = 3, kVictim = 3, kProducer = 4;
  World world(name(), 5);
  for (std::uint32_t round = 1; round <= 100; ++round) {
    const ParticipantId victim = round == 1 ? shmlane::make_id(kVictim, 1) : world.come(kVictim, round);
    for (unsigned i = 0; i < 4; ++i) push(world.ring(kProducer), shmlane::make_id(kProducer, 1), {0, i}, 100);
    std::array<Place, 2> leased;
    REQUIRE(world.ring(kVictim).acquire(victim, alone, os::Deadline(kPatience), leased) == 2);
    world.die(kVictim);
    std::atomic<unsigned> reaped{0}, again{0}, taken{0};
    std::vector<std::thread> threads;
    for (unsigned index = 0; index < kReapers; ++index) {
      threads.emplace_back([&, index] {
        Ring& ring = world.ring(index);
        const ParticipantId me = shmlane::make_id(index, 1);
        reaped += ring.reap(me, victim, os::Deadline(kPatience));
        Place place{};
        while (ring.acquire(me, alone, os::Deadline(kPatience), {&place, 1}) != 0) {
          again += Ring::attempt_of(place) == 1;
          payloads::check_stamped(ring.view(place).payload);
          ring.release(me, place.frame);
          ++taken;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(reaped == 1);
    CHECK(again == 2);
    CHECK(taken == 4);
  }
}

TEST_CASE_FIXTURE(ShmTest, "who finds somebody alive in a lock leaves there what tells of the dead") {
  World world(name(), 3);
  std::uint64_t& word = world.control().consumers_lock;
  OwnerLock lock(word, &wire::ParticipantEntry::consumers_busy, world.flags(), world.table());
  const ParticipantId me = shmlane::make_id(2, 1);
  word = shmlane::make_id(0, 1) | wire::kBiased;
  world.entry(0).consumers_busy = 1;  // and dies inside
  world.die(0);
  world.entry(1).consumers_busy = 1;  // alive, and about to see that the lock is not left to it
  CHECK(lock.try_lock(me) == Locked::kNo);
  world.entry(1).consumers_busy = 0;
  CHECK(lock.try_lock(me) == Locked::kFromDead);
  CHECK(world.entry(0).consumers_busy == 0);
  lock.unlock();
  CHECK(lock.try_lock(me) == Locked::kYes);
}

}  // namespace
