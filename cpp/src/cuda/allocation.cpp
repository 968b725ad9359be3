// SPDX-License-Identifier: Apache-2.0
// Exporting memory of a GPU, and never freeing what others may use.
#include "cuda/allocation.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

#include "shmlane/error.hpp"

namespace shmlane::cuda {

using os::cuda::check;
using os::cuda::Current;
using os::cuda::Device;
using os::cuda::driver;
using os::cuda::Event;
using os::cuda::VirtualMemory;

namespace {

constexpr std::uint64_t kPage = std::uint64_t{2} << 20;  // what the driver hands out; smaller ones share their page
constexpr const char* kVariable = "SHMLANE_CUDA_MEMORY";

struct Shelf {  // every allocation of this process
  std::mutex mutex;
  std::map<AllocationId, std::weak_ptr<Allocation>> allocations;
  std::vector<std::shared_ptr<Allocation>> unused;
  std::vector<std::shared_ptr<Allocation>> kept;
};

Shelf& shelf() {
  static auto* const shelf = new Shelf;  // never destroyed: memory of a GPU goes with the process
  return *shelf;
}

AllocationId random_id() {
  std::random_device random;
  return (AllocationId{random()} << 32) | random();
}

// What the environment asks for: "ipc", "fd", or nothing.
std::string_view asked_memory() {
  const char* const asked = ::secure_getenv(kVariable);
  const std::string_view kind = asked == nullptr ? "" : asked;
  if (kind.empty() || kind == "ipc" || kind == "fd") return kind;
  throw InvalidArgument(std::string(kVariable) + "=" + std::string(kind) + ": only ipc and fd are known");
}

bool out_of_memory(const Error& error) { return error.code() == ErrorCode::kNoSpace; }

}  // namespace

Allocation::Allocation(Device& device, std::uint64_t size, std::string purpose)
    : device_(&device), purpose_(std::move(purpose)), id_(random_id()) {
  const std::string_view asked = asked_memory();
  const Current current(device);
  if (asked == "ipc" || (asked.empty() && !VirtualMemory::supported(device))) {
    make_legacy(size);
    return;
  }
  try {
    make_virtual(size);
  } catch (const DeviceFailed&) {
    // The driver knows it, but something refuses it: a container's rules, say.
    if (asked == "fd") throw;
    make_legacy(size);
  }
}

void Allocation::make_virtual(std::uint64_t size) {
  try {
    virtual_.emplace(*device_, std::max<std::uint64_t>(size, 1));
  } catch (const Error& error) {
    if (!out_of_memory(error) || !free_unused()) throw;
    virtual_.emplace(*device_, std::max<std::uint64_t>(size, 1));
  }
  base_ = virtual_->base();
  size_ = virtual_->size();
  try {
    handle_ = offer(id_, virtual_->descriptor(), size_);
  } catch (const DeviceFailed&) {
    virtual_.reset();
    throw;
  }
}

void Allocation::make_legacy(std::uint64_t size) {
  size_ = (std::max<std::uint64_t>(size, 1) + kPage - 1) / kPage * kPage;
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

std::shared_ptr<Allocation> Allocation::make(Device& device, std::uint64_t size, const std::string& purpose) {
  {
    Shelf& all = shelf();
    const std::lock_guard guard(all.mutex);
    const auto fitting = std::find_if(all.unused.begin(), all.unused.end(), [&](const auto& allocation) {
      return allocation->device_ == &device && allocation->purpose_ == purpose && allocation->size_ >= size;
    });
    if (fitting != all.unused.end()) {
      std::shared_ptr<Allocation> allocation = std::move(*fitting);
      all.unused.erase(fitting);
      return allocation;
    }
  }
  std::shared_ptr<Allocation> allocation(new Allocation(device, size, purpose));
  Shelf& all = shelf();
  const std::lock_guard guard(all.mutex);
  std::erase_if(all.allocations, [](const auto& entry) { return entry.second.expired(); });
  all.allocations[allocation->id_] = allocation;
  return allocation;
}

std::shared_ptr<Allocation> Allocation::find(AllocationId id) {
  Shelf& all = shelf();
  const std::lock_guard guard(all.mutex);
  const auto found = all.allocations.find(id);
  return found == all.allocations.end() ? nullptr : found->second.lock();
}

void Allocation::recycle(std::shared_ptr<Allocation> allocation) {
  if (allocation->virtual_) return;  // who has it open keeps it
  Shelf& all = shelf();
  const std::lock_guard guard(all.mutex);
  all.unused.push_back(std::move(allocation));
}

void Allocation::keep(std::shared_ptr<Allocation> allocation) {
  Shelf& all = shelf();
  const std::lock_guard guard(all.mutex);
  all.kept.push_back(std::move(allocation));
}

bool Allocation::free_unused() {
  std::vector<std::shared_ptr<Allocation>> unused;
  Shelf& all = shelf();
  const std::lock_guard guard(all.mutex);
  unused.swap(all.unused);
  return !unused.empty();
}

Allocation::~Allocation() {
  if (!os::cuda::usable()) return;
  if (virtual_) withdraw(id_);
  try {
    const Current current(*device_);
    slots_.clear();
    if (virtual_) {
      virtual_.reset();
    } else {
      driver().free(base_);
    }
  } catch (const Error&) {
    // Without its context the memory is gone already.
  }
}

Allocation::Slot& Allocation::slot(std::size_t index) {
  const std::lock_guard guard(mutex_);
  while (slots_.size() <= index) {
    const Current current(*device_);
    Slot slot;
    CUevent event = nullptr;
    CUipcEventHandle handle{};
    slot.shared = driver().event_create(&event, CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS) == CUDA_SUCCESS;
    if (slot.shared) slot.filled = std::make_shared<Event>(event);
    slot.shared = slot.shared && driver().ipc_get_event(&handle, event) == CUDA_SUCCESS;
    if (slot.shared) {
      std::memcpy(slot.handle.data(), &handle, sizeof handle);
    } else {
      slot.filled = std::make_shared<Event>();
    }
    slots_.push_back(std::move(slot));
  }
  return slots_[index];
}

std::shared_ptr<Event> Allocation::event(std::size_t index) {
  const std::lock_guard guard(mutex_);
  return index < slots_.size() ? slots_[index].filled : nullptr;
}

}  // namespace shmlane::cuda
