// SPDX-License-Identifier: Apache-2.0
// Opening what another process exported: never twice at once, and with an error that says what may be the reason.
#include "cuda/mapping.hpp"

#include <cstring>
#include <tuple>

#include "shmlane/error.hpp"

namespace shmlane::cuda {

using os::cuda::check;
using os::cuda::Current;
using os::cuda::Device;
using os::cuda::driver;
using os::cuda::Event;

namespace {

constexpr std::size_t kMostEvents = 1024;  // kept of one mapping: handles come from other processes

struct Opening {  // of one allocation: who opens it keeps nobody waiting who wants another
  std::mutex mutex;
  std::weak_ptr<Mapping> mapping;
};

std::shared_ptr<Opening> opening(int device, AllocationId id, const CudaPlacement::Handle& handle) {
  using Key = std::tuple<int, AllocationId, CudaPlacement::Handle>;
  static std::mutex mutex;
  static auto* const all = new std::map<Key, std::shared_ptr<Opening>>;
  const std::lock_guard guard(mutex);
  std::erase_if(*all,
                [](const auto& entry) { return entry.second.use_count() == 1 && entry.second->mapping.expired(); });
  std::shared_ptr<Opening>& found = (*all)[{device, id, handle}];
  if (found == nullptr) found = std::make_shared<Opening>();
  return found;
}

}  // namespace

std::shared_ptr<Mapping> Mapping::open(const CudaPlacement& placement, const std::function<void()>& meanwhile) {
  Device& device = os::cuda::device(placement.device);
  const std::shared_ptr<Opening> one = opening(device.ordinal(), placement.allocation, placement.memory);
  const std::lock_guard guard(one->mutex);
  std::shared_ptr<Mapping> mapping = one->mapping.lock();
  if (mapping == nullptr) one->mapping = mapping = std::shared_ptr<Mapping>(new Mapping(device, placement, meanwhile));
  return mapping;
}

Mapping::Mapping(Device& device, const CudaPlacement& placement, const std::function<void()>& meanwhile)
    : device_(&device) {
  if (placement.sharing == CudaPlacement::Sharing::kHandle) {
    open_legacy(placement.memory);
    return;
  }
  const HandedOver found = ask_for(placement.allocation, placement.memory, meanwhile);
  const Current current(device);
  virtual_.emplace(device, found.size, found.descriptor);
  base_ = virtual_->base();
  size_ = virtual_->size();
}

void Mapping::open_legacy(const Handle& handle) {
  const Current current(*device_);
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
  const CUresult told = driver().address_range(&base, &size, base_);
  if (told != CUDA_SUCCESS) driver().ipc_close_memory(base_);
  check(told, "tell the size of another process's memory");
  size_ = size - (base_ - base);
}

Mapping::~Mapping() {
  if (!os::cuda::usable()) return;
  try {
    const Current current(*device_);
    events_.clear();
    if (virtual_) {
      virtual_.reset();
    } else {
      driver().ipc_close_memory(base_);
    }
  } catch (const Error&) {
    // Without its context it is closed already.
  }
}

std::shared_ptr<Event> Mapping::event(const Handle& handle) {
  if (handle == Handle{}) return nullptr;
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
