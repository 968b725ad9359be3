// SPDX-License-Identifier: Apache-2.0
// The importing half of a consumer: opening what others exported, and never trusting what they say of it.
//
// No CUDA stream of a consumer ever waits for another process: what is not filled yet is waited for on the host, in slices
// that look whether the exporter still lives. A stream that waited for a dead process would hang for ever.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "crash_point.hpp"
#include "cuda/allocation.hpp"
#include "cuda/copies.hpp"
#include "cuda/device_memory.hpp"
#include "cuda/mapping.hpp"
#include "cuda_placement.hpp"
#include "shmlane/cuda.hpp"
#include "shmlane/error.hpp"

namespace shmlane::cuda {

using os::cuda::Current;
using os::cuda::Device;

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::microseconds kSpin{50};
constexpr std::chrono::microseconds kLongest{1000};  // of a sleep
constexpr std::chrono::milliseconds kSlice{100};     // between two looks at the exporter
constexpr std::chrono::milliseconds kDying{100};

struct Found {  // where a frame's array lies in this process
  Device* device = nullptr;
  std::shared_ptr<void> allocation;
  std::shared_ptr<os::cuda::Event> filled;  // null: it is
  DeviceView view;
  bool own = false;    // exported by this process itself
  bool lasts = false;  // as long as `allocation` does, whoever dies
};

}  // namespace

struct Importer::State {
  State(Consumer& of, InterruptCheck check) : consumer(&of), interrupt_check(check) {}

  Found find(const CudaPlacement& placement);
  void check_exporter(const CudaPlacement& placement) const;
  [[nodiscard]] std::shared_ptr<Mapping> open(const CudaPlacement& placement);
  void locate(const CudaPlacement& placement, Found& found, CUdeviceptr& base, std::uint64_t& size);
  void await_death(const CudaPlacement& placement) const;
  void wait_until_filled(const Found& found, const CudaPlacement& placement) const;
  void forget_the_dead();

  Consumer* consumer;
  InterruptCheck interrupt_check;
  std::mutex mutex;
  std::map<AllocationId, std::pair<std::uint64_t, std::shared_ptr<Mapping>>> open_ones;  // with their exporters
};

void Importer::State::check_exporter(const CudaPlacement& placement) const {
  if (consumer->is_alive(placement.exporter)) return;
  throw ExporterGone(
      "queue '" + consumer->name() + "': process " + std::to_string(placement.pid) +
      ", which exported this array, is gone, and its GPU memory with it; an exporter must live until its "
      "arrays are consumed (wait_consumed)");
}

std::shared_ptr<Mapping> Importer::State::open(const CudaPlacement& placement) {
  const std::lock_guard guard(mutex);
  const auto known = open_ones.find(placement.allocation);
  // What is open needs no look at its exporter, which is a system call: see copy().
  if (known != open_ones.end() && known->second.first == placement.exporter) return known->second.second;
  forget_the_dead();
  check_exporter(placement);
  SHMLANE_CRASH_POINT("cuda.import.open");
  std::shared_ptr<Mapping> mapping = Mapping::open(placement, [&] {
    check_exporter(placement);
    if (interrupt_check != nullptr) interrupt_check();
  });
  open_ones[placement.allocation] = {placement.exporter, mapping};
  return mapping;
}

// Memory may be freed only when nobody has it open any more. Under the mutex.
void Importer::State::forget_the_dead() {
  std::erase_if(open_ones, [&](const auto& entry) { return !consumer->is_alive(entry.second.first); });
}

// Throws ExporterGone if the exporter is about to be: of a process that dies, the driver's handles may go before the
// others can see it.
void Importer::State::await_death(const CudaPlacement& placement) const {
  for (const auto end = Clock::now() + kDying; Clock::now() < end; std::this_thread::sleep_for(kLongest)) {
    check_exporter(placement);
  }
}

void Importer::State::locate(const CudaPlacement& placement, Found& found, CUdeviceptr& base, std::uint64_t& size) {
  try {
    const std::shared_ptr<Mapping> mapping = open(placement);
    found.device = &mapping->device();
    found.allocation = mapping;
    found.filled = mapping->event(placement.filled);
    found.lasts = mapping->lasts();
    base = mapping->base();
    size = mapping->size();
  } catch (const DeviceFailed&) {
    await_death(placement);
    throw;
  }
}

Found Importer::State::find(const CudaPlacement& placement) {
  Found found;
  CUdeviceptr base = 0;
  std::uint64_t size = 0;
  if (const std::shared_ptr<Allocation> allocation = Allocation::find(placement.allocation)) {
    found.own = true;
    found.device = &allocation->device();
    found.allocation = allocation;
    found.filled = allocation->event(static_cast<std::size_t>(placement.slot));
    if (found.filled == nullptr) throw Corrupt("an array of a GPU is said to lie in a slot that was never used");
    base = allocation->base();
    size = allocation->size();
  } else {
    locate(placement, found, base, size);
  }
  if (placement.offset > size || placement.bytes > size - placement.offset) {
    throw Corrupt("an array of a GPU is said to lie outside of its exporter's memory");
  }
  found.view = {placement.dtype, placement.shape, placement.strides, base + placement.offset, found.device->ordinal()};
  SHMLANE_CRASH_POINT("cuda.import.located");
  if (found.filled != nullptr) wait_until_filled(found, placement);
  return found;
}

void Importer::State::wait_until_filled(const Found& found, const CudaPlacement& placement) const {
  const Current current(*found.device);
  const Clock::time_point begin = Clock::now();
  Clock::time_point looked = begin;
  std::chrono::microseconds pause = kSpin;
  while (!found.filled->done()) {
    const Clock::time_point now = Clock::now();
    if (now - looked > kSlice) {
      looked = now;
      if (!found.own) check_exporter(placement);
      if (interrupt_check != nullptr) interrupt_check();
    }
    if (now - begin < kSpin) continue;
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, kLongest);
  }
}

Importer::Importer(Consumer& consumer, InterruptCheck interrupt_check)
    : state_(std::make_unique<State>(consumer, interrupt_check)) {}
Importer::Importer(Importer&&) noexcept = default;
Importer& Importer::operator=(Importer&&) noexcept = default;
Importer::~Importer() = default;

DeviceArray Importer::copy(const Json& metadata, std::span<const std::byte> payload) {
  const CudaPlacement placement = CudaPlacement::read(metadata, payload);
  const Found found = state_->find(placement);
  DeviceArray array = DeviceArray::allocate(placement.dtype, placement.shape, found.device->ordinal());
  SHMLANE_CRASH_POINT("cuda.import.copy");
  cuda::copy(found.view, array);
  SHMLANE_CRASH_POINT("cuda.import.copied");
  // What was copied was the array, if its memory was there until the copy was.
  if (!found.own && !found.lasts) state_->check_exporter(placement);
  return array;
}

DeviceArray Importer::view(const Json& metadata, std::span<const std::byte> payload, std::shared_ptr<void> keep) {
  Found found = state_->find(CudaPlacement::read(metadata, payload));
  return {std::move(found.view),
          std::make_shared<HeldMemory>(*found.device, std::move(found.allocation), std::move(keep))};
}

DeviceArray Importer::view(Lease&& lease) {
  const auto held = std::make_shared<Lease>(std::move(lease));
  return view(held->metadata().json, held->payload(), held);
}

}  // namespace shmlane::cuda
