// SPDX-License-Identifier: Apache-2.0
// Creating or importing an allocation, reserving addresses for it, mapping it, and letting this device use it.
#include "os/cuda/virtual_memory.hpp"

#include "shmlane/error.hpp"

namespace shmlane::os::cuda {
namespace {

CUmemLocation place_of(const Device& device) { return {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device.ordinal()}; }

CUmemAllocationProp kind_of(const Device& device) {
  CUmemAllocationProp kind{};
  kind.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  kind.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  kind.location = place_of(device);
  return kind;
}

}  // namespace

bool VirtualMemory::supported(const Device& device) {
  return device.has(CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED) &&
         device.has(CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED);
}

VirtualMemory::VirtualMemory(const Device& device, std::uint64_t size) : size_(size) {
  const CUmemAllocationProp kind = kind_of(device);
  std::size_t unit = 0;
  check(driver().granularity(&unit, &kind, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED), "tell the unit of its memory");
  size_ = (size + unit - 1) / unit * unit;
  check(driver().create_memory(&handle_, size_, &kind, 0), "allocate memory for other processes");
  made_ = true;
  try {
    int fd = -1;
    check(driver().export_memory(&fd, handle_, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
          "share memory as a file descriptor");
    descriptor_ = Descriptor(fd);
    map(device);
  } catch (...) {
    clear();
    throw;
  }
}

VirtualMemory::VirtualMemory(const Device& device, std::uint64_t size, const Descriptor& descriptor) : size_(size) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): how the driver takes a descriptor
  void* const opaque = reinterpret_cast<void*>(static_cast<std::intptr_t>(descriptor.get()));
  check(driver().import_memory(&handle_, opaque, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
        "take another process's memory by its file descriptor");
  made_ = true;
  try {
    map(device);
  } catch (...) {
    clear();
    throw;
  }
}

void VirtualMemory::map(const Device& device) {
  check(driver().reserve_addresses(&base_, size_, 0, 0, 0), "find addresses for shared memory");
  check(driver().map(base_, size_, 0, handle_, 0), "map shared memory");
  mapped_ = true;
  const CUmemAccessDesc access{.location = place_of(device), .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  check(driver().set_access(base_, size_, &access, 1), "get access to shared memory");
}

VirtualMemory::~VirtualMemory() {
  if (!usable()) return;
  // Unlike cuMemFree, the calls below wait for nobody.
  driver().synchronize_context();
  clear();
}

void VirtualMemory::clear() noexcept {
  if (mapped_) driver().unmap(base_, size_);
  if (base_ != 0) driver().free_addresses(base_, size_);
  if (made_) driver().release_memory(handle_);
}

}  // namespace shmlane::os::cuda
