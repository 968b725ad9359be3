// SPDX-License-Identifier: Apache-2.0
// The exporting half of a producer: one arena for each device.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "crash_point.hpp"
#include "cuda/arena.hpp"
#include "cuda/copies.hpp"
#include "cuda/device_memory.hpp"
#include "cuda_placement.hpp"
#include "shmlane/cuda.hpp"
#include "shmlane/error.hpp"

namespace shmlane::cuda {

using os::cuda::Current;
using os::cuda::Device;

static_assert(Slot::kPayloadSize == CudaPlacement::kPayloadSize);

// ---- Slot -------------------------------------------------------------------------------------------------------------

struct Slot::State {
  State(std::shared_ptr<Arena> of, Arena::Piece taken, std::uint64_t size, std::uint64_t participant)
      : arena(std::move(of)), piece(std::move(taken)), nbytes(size), exporter(participant), uses(arena->device()) {}
  ~State() {
    if (sent) return;
    uses.wait();
    arena->give_back(piece);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  std::shared_ptr<Arena> arena;
  Arena::Piece piece;
  std::uint64_t nbytes;
  std::uint64_t exporter;
  Uses uses;
  bool sent = false;
};

Slot::Slot(std::unique_ptr<State> state) : state_(std::move(state)) {}
Slot::Slot(Slot&& other) noexcept = default;
Slot& Slot::operator=(Slot&& other) noexcept = default;
Slot::~Slot() = default;

std::uintptr_t Slot::data() const { return state_->piece.allocation->base() + state_->piece.offset; }
std::uint64_t Slot::nbytes() const { return state_->nbytes; }
int Slot::device() const { return state_->arena->device().ordinal(); }

void Slot::ready(std::optional<Stream> stream) {
  Device& device = state_->arena->device();
  const Current current(device);
  const auto on = stream ? static_cast<CUstream>(*stream) : device.stream();
  SHMLANE_CRASH_POINT("cuda.slot.record");
  if (stream) state_->uses.used_on(on);
  const Allocation::Slot& slot = state_->piece.allocation->slot(state_->piece.slot);
  slot.filled->record(on);
  if (!slot.shared) slot.filled->wait();
}

Json Slot::metadata(const DType& dtype, const Dims& shape) const {
  const DeviceView view = DeviceView::contiguous(dtype, shape, data(), device());
  if (view.nbytes() > state_->nbytes) {
    throw TooLarge("an array of " + std::to_string(view.nbytes()) + " bytes is larger than its reservation of " +
                   std::to_string(state_->nbytes));
  }
  const Arena::Piece& piece = state_->piece;
  CudaPlacement placement;
  placement.sharing = piece.allocation->sharing();
  placement.device = state_->arena->device().uuid();
  placement.dtype = dtype;
  placement.shape = shape;
  placement.strides = view.strides;
  placement.allocation = piece.allocation->id();
  placement.exporter = state_->exporter;
  placement.pid = os::cuda::process_id();
  placement.slot = piece.slot;
  placement.generation = piece.allocation->slot(piece.slot).generation;
  placement.offset = piece.offset;
  placement.bytes = view.nbytes();
  return placement.metadata();
}

std::array<std::byte, Slot::kPayloadSize> Slot::payload() const {
  CudaPlacement placement;
  placement.memory = state_->piece.allocation->handle();
  placement.filled = state_->piece.allocation->slot(state_->piece.slot).handle;
  return placement.payload();
}

void Slot::send(const Reservation& frame) {
  SHMLANE_CRASH_POINT("cuda.slot.send");
  state_->arena->send(state_->piece, SentFrame(frame));
  state_->sent = true;
}

// ---- Exporter ---------------------------------------------------------------------------------------------------------

struct Exporter::State {
  State(Producer& of, const ExporterOptions& chosen) : producer(&of), options(chosen) {}
  ~State() {
    for (auto& [ordinal, arena] : arenas) retire(std::move(arena));
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  std::shared_ptr<Arena> arena(int device) {
    os::cuda::Device& on = os::cuda::device(device);
    const std::lock_guard guard(mutex);
    std::shared_ptr<Arena>& found = arenas[device];
    if (found == nullptr) {
      look_after_retired();
      found = std::make_shared<Arena>(on, producer->name(), options.capacity);
    }
    return found;
  }

  Producer* producer;
  ExporterOptions options;
  std::mutex mutex;
  std::map<int, std::shared_ptr<Arena>> arenas;
};

Exporter::Exporter(Producer& producer, const ExporterOptions& options)
    : state_(std::make_unique<State>(producer, options)) {}
Exporter::Exporter(Exporter&&) noexcept = default;
Exporter& Exporter::operator=(Exporter&&) noexcept = default;
Exporter::~Exporter() = default;

std::optional<Slot> Exporter::reserve(int device, std::uint64_t nbytes, Timeout timeout) {
  const std::shared_ptr<Arena> arena = state_->arena(device);
  std::optional<Arena::Piece> piece;
  SHMLANE_CRASH_POINT("cuda.arena.take");
  const auto found = [&] { return piece || (piece = arena->take(nbytes)).has_value(); };
  if (!state_->producer->wait_for_releases(found, timeout)) return std::nullopt;
  return Slot(std::make_unique<Slot::State>(arena, *std::move(piece), nbytes, state_->producer->participant()));
}

PushResult Exporter::push(Slot&& slot, const DType& dtype, const Dims& shape, Timeout timeout) {
  const std::string metadata = slot.metadata(dtype, shape).dump();
  std::optional<Reservation> frame = state_->producer->reserve(metadata, Slot::kPayloadSize, timeout);
  if (!frame) return PushResult::kFull;
  SHMLANE_CRASH_POINT("cuda.push.reserved");
  const auto payload = slot.payload();
  std::memcpy(frame->payload().data(), payload.data(), payload.size());
  slot.send(*frame);
  SHMLANE_CRASH_POINT("cuda.push.sent");
  frame->commit();
  return PushResult::kPushed;
}

PushResult Exporter::push(const DeviceView& array, Stream stream, Timeout timeout) {
  check_view(array);
  const os::cuda::Device& device =
      array.nbytes() == 0 ? os::cuda::device(array.device) : os::cuda::device_of(array.data);
  const auto begin = std::chrono::steady_clock::now();
  std::optional<Slot> slot = reserve(device.ordinal(), array.nbytes(), timeout);
  if (!slot) return PushResult::kFull;
  {
    const Current current(device);
    copy_items(os::cuda::device(device.ordinal()), array, slot->data(), static_cast<CUstream>(stream));
  }
  slot->ready(stream);
  const std::chrono::nanoseconds spent = std::chrono::steady_clock::now() - begin;
  const Timeout left = timeout ? Timeout(std::max(*timeout - spent, std::chrono::nanoseconds(0))) : forever;
  return push(*std::move(slot), array.dtype, array.shape, left);
}

void leave_queues() noexcept { forget_retired(); }

void free_unused() {
  look_after_retired();
  static_cast<void>(Allocation::free_unused());
}

bool Exporter::wait_consumed(Timeout timeout) {
  const auto consumed = [&] {
    const std::lock_guard guard(state_->mutex);
    return std::all_of(state_->arenas.begin(), state_->arenas.end(),
                       [](const auto& entry) { return entry.second->idle(); });
  };
  return state_->producer->wait_for_releases(consumed, timeout);
}

}  // namespace shmlane::cuda
