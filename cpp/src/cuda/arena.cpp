// SPDX-License-Identifier: Apache-2.0
// Pieces of allocations: first fit, and swept when somebody asks.
#include "cuda/arena.hpp"

#include <algorithm>
#include <utility>

#include "shmlane/error.hpp"

namespace shmlane::cuda {
namespace {

constexpr std::uint64_t kFirstAllocation = std::uint64_t{64} << 20;
constexpr std::uint64_t kAlignment = 512;         // what the driver's own allocations have
constexpr std::size_t kSlotsPerAllocation = 256;  // events that are exported

std::uint64_t aligned(std::uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

struct Retired {
  std::mutex mutex;
  std::vector<std::shared_ptr<Arena>> arenas;
  // At the end of the process, whatever waits is lost with it: what matters is that the queues are left.
  ~Retired() { forget(); }
  void forget() noexcept {
    const std::lock_guard guard(mutex);
    for (const auto& arena : arenas) arena->forget();
  }
};

Retired& retired() {
  static Retired retired;
  return retired;
}

}  // namespace

Arena::Arena(os::cuda::Device& device, std::string queue, std::uint64_t capacity)
    : device_(&device), queue_(std::move(queue)), capacity_(capacity) {}

Arena::~Arena() {
  for (auto& allocation : allocations_) {
    const bool used = std::any_of(taken_.begin(), taken_.end(),
                                  [&](const Taken& taken) { return taken.piece.allocation == allocation; });
    (used ? Allocation::keep : Allocation::recycle)(std::move(allocation));
  }
}

std::optional<Arena::Piece> Arena::take(std::uint64_t bytes) {
  const std::uint64_t size = aligned(std::max<std::uint64_t>(bytes, 1));
  if (capacity_ != 0 && size > capacity_) {
    throw TooLarge("an array of " + std::to_string(bytes) + " bytes can never fit into the arena of queue '" + queue_ +
                   "' on cuda:" + std::to_string(device_->ordinal()) + " with a capacity of " +
                   std::to_string(capacity_) + " bytes; give a larger cuda_capacity");
  }
  const std::lock_guard guard(mutex_);
  sweep();
  std::uint64_t largest = 0;
  for (const auto& allocation : allocations_) {
    if (auto piece = find_room(allocation, size)) return piece;
    largest = std::max(largest, allocation->size());
  }
  if (size <= largest && (size * 2 <= largest || capacity_ != 0)) return std::nullopt;
  const std::uint64_t wanted = capacity_ != 0 ? capacity_ : std::max(kFirstAllocation, 2 * size);
  allocations_.push_back(Allocation::make(*device_, wanted, queue_));
  return find_room(allocations_.back(), size);
}

void Arena::sweep() {
  std::erase_if(taken_, [this](Taken& taken) {
    if (!taken.sent || (taken.frame && taken.frame->in_use())) return false;
    taken.frame.reset();
    const auto filled = taken.piece.allocation->event(taken.piece.slot);
    return filled == nullptr || !filled->pending(*device_);  // else it was dropped before it was filled
  });
}

std::optional<Arena::Piece> Arena::find_room(const std::shared_ptr<Allocation>& allocation, std::uint64_t bytes) {
  std::vector<const Piece*> here;
  std::vector<bool> slots(kSlotsPerAllocation);
  for (const Taken& taken : taken_) {
    if (taken.piece.allocation != allocation) continue;
    here.push_back(&taken.piece);
    slots[taken.piece.slot] = true;
  }
  const auto slot = std::find(slots.begin(), slots.end(), false);
  if (slot == slots.end()) return std::nullopt;
  std::sort(here.begin(), here.end(), [](const Piece* a, const Piece* b) { return a->offset < b->offset; });
  std::uint64_t end = 0;
  for (const Piece* piece : here) {
    if (piece->offset - end >= bytes) break;
    end = piece->offset + piece->bytes;
  }
  if (allocation->size() - end < bytes) return std::nullopt;
  const Piece piece{allocation, static_cast<std::size_t>(slot - slots.begin()), end, bytes};
  allocation->slot(piece.slot).generation += 1;
  taken_.push_back({piece});
  return piece;
}

void Arena::give_back(const Piece& piece) {
  const std::lock_guard guard(mutex_);
  std::erase_if(taken_, [&](const Taken& taken) {
    return !taken.sent && taken.piece.allocation == piece.allocation && taken.piece.offset == piece.offset;
  });
}

void Arena::send(const Piece& piece, SentFrame frame) {
  const std::lock_guard guard(mutex_);
  for (Taken& taken : taken_) {
    if (taken.piece.allocation != piece.allocation || taken.piece.offset != piece.offset) continue;
    taken.frame = std::move(frame);
    taken.sent = true;
    return;
  }
}

bool Arena::idle() {
  const std::lock_guard guard(mutex_);
  if (os::cuda::usable()) sweep();
  return taken_.empty();
}

void Arena::forget() noexcept {
  const std::lock_guard guard(mutex_);
  for (Taken& taken : taken_) taken.frame.reset();
}

void retire(std::shared_ptr<Arena> arena) {
  if (arena->idle()) return;
  Retired& all = retired();
  const std::lock_guard guard(all.mutex);
  all.arenas.push_back(std::move(arena));
}

void forget_retired() noexcept { retired().forget(); }

void look_after_retired() {
  Retired& all = retired();
  const std::lock_guard guard(all.mutex);
  std::erase_if(all.arenas, [](const auto& arena) { return arena->idle(); });
}

}  // namespace shmlane::cuda
