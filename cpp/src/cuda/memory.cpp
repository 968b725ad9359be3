// SPDX-License-Identifier: Apache-2.0
// Memory of a GPU: exporting, opening, and never freeing what others may use.
#include "cuda/memory.hpp"

#include <algorithm>
#include <cstring>
#include <random>
#include <tuple>
#include <utility>

#include "shmlane/error.hpp"

namespace shmlane::cuda {

using os::cuda::check;
using os::cuda::Current;
using os::cuda::Device;
using os::cuda::driver;
using os::cuda::Event;

namespace {

constexpr std::uint64_t kPage = std::uint64_t{2} << 20;  // what the driver hands out; smaller ones share their page
constexpr std::size_t kMostEvents = 1024;                // kept of one mapping: handles come from other processes

struct Shelf {  // every block of this process
  std::mutex mutex;
  std::map<BlockId, std::weak_ptr<Block>> blocks;
  std::vector<std::shared_ptr<Block>> unused;
  std::vector<std::shared_ptr<Block>> kept;
};

Shelf& shelf() {
  static auto* const shelf = new Shelf;  // never destroyed: memory of a GPU goes with the process
  return *shelf;
}

BlockId random_id() {
  std::random_device random;
  return (BlockId{random()} << 32) | random();
}

}  // namespace

// ---- Uses -------------------------------------------------------------------------------------------------------------

void Uses::used_on(CUstream stream) {
  const std::lock_guard guard(mutex_);
  if (std::find(streams_.begin(), streams_.end(), stream) == streams_.end()) streams_.push_back(stream);
}

template <class Wait>
void Uses::for_each(Wait&& wait) noexcept {
  const std::lock_guard guard(mutex_);
  if (streams_.empty() || !os::cuda::usable()) return;
  try {
    const Current current(*device_);
    for (CUstream stream : std::exchange(streams_, {})) {
      const Event event;
      if (driver().event_record(event.get(), stream) == CUDA_SUCCESS) wait(event);
    }
  } catch (const Error&) {
    // The device has failed: nothing of it will be read any more.
  }
}

void Uses::wait() noexcept {
  for_each([](const Event& event) { driver().event_synchronize(event.get()); });
}

void Uses::own_stream_waits() noexcept {
  for_each([this](const Event& event) { driver().stream_wait_event(device_->stream(), event.get(), 0); });
}

// ---- Owned ------------------------------------------------------------------------------------------------------------

Owned::Owned(Device& device, std::uint64_t size) : Uses(device) {
  const Current current(device);
  memory_ = device.allocate(size);
}

Owned::~Owned() {
  if (!os::cuda::usable()) return;
  own_stream_waits();
  try {
    const Current current(device());
    device().give_back(memory_);
  } catch (const Error&) {
    // Without its context the memory is gone already.
  }
}

// ---- Block ------------------------------------------------------------------------------------------------------------

Block::Block(Device& device, std::uint64_t size, std::string purpose)
    : device_(&device),
      purpose_(std::move(purpose)),
      id_(random_id()),
      size_((std::max<std::uint64_t>(size, 1) + kPage - 1) / kPage * kPage) {
  const Current current(device);
  CUresult result = driver().allocate(&base_, size_);
  if (result == CUDA_ERROR_OUT_OF_MEMORY && free_unused()) result = driver().allocate(&base_, size_);
  check(result, "allocate memory for other processes");
  CUipcMemHandle handle{};
  result = driver().ipc_get_memory(&handle, base_);
  if (result != CUDA_SUCCESS) driver().free(base_);
  if (result == CUDA_ERROR_NOT_SUPPORTED || result == CUDA_ERROR_INVALID_VALUE) {
    throw DeviceFailed(
        "the driver does not share this GPU's memory between processes: not under WSL, nor on Tegra, nor where the GPU "
        "is passed through without it; copy arrays to the host before they are pushed");
  }
  check(result, "share memory between processes");
  std::memcpy(handle_.data(), &handle, sizeof handle);
}

std::shared_ptr<Block> Block::make(Device& device, std::uint64_t size, const std::string& purpose) {
  {
    Shelf& all = shelf();
    const std::lock_guard guard(all.mutex);
    const auto fitting = std::find_if(all.unused.begin(), all.unused.end(), [&](const auto& block) {
      return block->device_ == &device && block->purpose_ == purpose && block->size_ >= size;
    });
    if (fitting != all.unused.end()) {
      std::shared_ptr<Block> block = std::move(*fitting);
      all.unused.erase(fitting);
      return block;
    }
  }
  std::shared_ptr<Block> block(new Block(device, size, purpose));
  Shelf& all = shelf();
  const std::lock_guard guard(all.mutex);
  all.blocks[block->id_] = block;
  return block;
}

std::shared_ptr<Block> Block::find(BlockId id) {
  Shelf& all = shelf();
  const std::lock_guard guard(all.mutex);
  const auto found = all.blocks.find(id);
  return found == all.blocks.end() ? nullptr : found->second.lock();
}

void Block::recycle(std::shared_ptr<Block> block) {
  Shelf& all = shelf();
  const std::lock_guard guard(all.mutex);
  all.unused.push_back(std::move(block));
}

void Block::keep(std::shared_ptr<Block> block) {
  Shelf& all = shelf();
  const std::lock_guard guard(all.mutex);
  all.kept.push_back(std::move(block));
}

bool Block::free_unused() {
  std::vector<std::shared_ptr<Block>> unused;
  {
    Shelf& all = shelf();
    const std::lock_guard guard(all.mutex);
    unused.swap(all.unused);
    for (const auto& block : unused) all.blocks.erase(block->id_);
  }
  return !unused.empty();
}

Block::~Block() {
  if (!os::cuda::usable()) return;
  try {
    const Current current(*device_);
    slots_.clear();
    driver().free(base_);
  } catch (const Error&) {
    // Without its context the memory is gone already.
  }
}

Block::Slot& Block::slot(std::size_t index) {
  const std::lock_guard guard(mutex_);
  while (slots_.size() <= index) {
    const Current current(*device_);
    Slot slot{std::make_shared<Event>(CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS)};
    CUipcEventHandle handle{};
    check(driver().ipc_get_event(&handle, slot.filled->get()), "share an event between processes");
    std::memcpy(slot.handle.data(), &handle, sizeof handle);
    slots_.push_back(std::move(slot));
  }
  return slots_[index];
}

std::shared_ptr<Event> Block::event(std::size_t index) {
  const std::lock_guard guard(mutex_);
  return index < slots_.size() ? slots_[index].filled : nullptr;
}

// ---- Mapping ----------------------------------------------------------------------------------------------------------

Mapping::Mapping(Device& device, const Handle& handle) : device_(&device) {
  const Current current(device);
  CUipcMemHandle opaque{};
  std::memcpy(&opaque, handle.data(), sizeof opaque);
  const CUresult result = driver().ipc_open_memory(&base_, opaque, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS);
  if (result == CUDA_ERROR_INVALID_CONTEXT || result == CUDA_ERROR_NOT_PERMITTED ||
      result == CUDA_ERROR_NOT_SUPPORTED || result == CUDA_ERROR_OPERATING_SYSTEM) {
    throw DeviceFailed(
        "this process may not open memory of a GPU that another process shares: containers need one PID and one IPC "
        "namespace for that (docker run --ipc=host --pid=host), and instances of a GPU (MIG) must be the same");
  }
  if (result == CUDA_ERROR_TOO_MANY_PEERS || result == CUDA_ERROR_PEER_ACCESS_UNSUPPORTED) {
    throw DeviceFailed("no peer access between this process's GPU and the one that the memory lies on");
  }
  check(result, "open memory of another process");
  std::size_t size = 0;
  CUdeviceptr base = 0;
  check(driver().address_range(&base, &size, base_), "tell the size of another process's memory");
  size_ = size - (base_ - base);
}

Mapping::~Mapping() {
  if (!os::cuda::usable()) return;
  try {
    const Current current(*device_);
    events_.clear();
    driver().ipc_close_memory(base_);
  } catch (const Error&) {
    // Without its context it is closed already.
  }
}

std::shared_ptr<Mapping> Mapping::open(Device& device, BlockId id, const Handle& handle) {
  using Key = std::tuple<int, BlockId, Handle>;
  static std::mutex mutex;
  static auto* const open_ones = new std::map<Key, std::weak_ptr<Mapping>>;
  const std::lock_guard guard(mutex);
  std::erase_if(*open_ones, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<Mapping>& known = (*open_ones)[{device.ordinal(), id, handle}];
  std::shared_ptr<Mapping> mapping = known.lock();
  if (mapping == nullptr) known = mapping = std::shared_ptr<Mapping>(new Mapping(device, handle));
  return mapping;
}

std::shared_ptr<Event> Mapping::event(const Handle& handle) {
  const std::lock_guard guard(mutex_);
  const auto found = events_.find(handle);
  if (found != events_.end()) return found->second;
  const Current current(*device_);
  if (events_.size() >= kMostEvents) events_.clear();
  CUipcEventHandle opaque{};
  std::memcpy(&opaque, handle.data(), sizeof opaque);
  CUevent event = nullptr;
  check(driver().ipc_open_event(&event, opaque), "open an event of another process");
  return events_.emplace(handle, std::make_shared<Event>(event)).first->second;
}

}  // namespace shmlane::cuda
