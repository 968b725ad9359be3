// SPDX-License-Identifier: Apache-2.0
// The stand-in driver's memory and events between processes: legacy handles, and virtual memory as file descriptors.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstring>

#include "calls.hpp"

using namespace standin;

namespace {

constexpr std::size_t kUnit = std::size_t{2} << 20;
constexpr std::uint64_t kMagicMemory = 0x79726f6d656d6c73, kMagicEvent = 0x746e6576656e6c73;

struct Reference {  // what a handle holds
  std::uint64_t magic;
  std::int64_t owner;
  std::int64_t file;
  std::uint64_t size;
  std::int64_t device;
};

}  // namespace

extern "C" {

CUresult cuIpcGetMemHandle(CUipcMemHandle* handle, CUdeviceptr address) {
  READY();
  if (const long error = number_from_environment("SHMLANE_STANDIN_IPC_GET", 0); error != 0) {
    return static_cast<CUresult>(error);
  }
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  const auto found = all.pieces.find(address);
  if (found == all.pieces.end() || found->second.pooled || found->second.opened || found->second.mapped) {
    return refuse(CUDA_ERROR_INVALID_VALUE,
                  "a handle of a part of an allocation, of a pool's, of virtual memory, or of another process's");
  }
  const Reference reference{kMagicMemory, ::getpid(), found->second.file, found->second.size, found->second.device};
  std::memset(handle, 0, sizeof *handle);
  std::memcpy(handle, &reference, sizeof reference);
  return CUDA_SUCCESS;
}

CUresult cuIpcOpenMemHandle_v2(CUdeviceptr* out, CUipcMemHandle handle, unsigned flags) {
  READY();
  if (const long error = number_from_environment("SHMLANE_STANDIN_IPC_OPEN", 0); error != 0) {
    return static_cast<CUresult>(error);
  }
  Reference reference{};
  std::memcpy(&reference, &handle, sizeof reference);
  if (reference.magic != kMagicMemory) return CUDA_ERROR_INVALID_VALUE;
  if (flags != CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS) return refuse(CUDA_ERROR_INVALID_VALUE, "flags of an opening");
  if (reference.owner == ::getpid()) {
    return refuse(CUDA_ERROR_INVALID_CONTEXT, "memory was opened in the process that exported it");
  }
  const int file = open_file(static_cast<pid_t>(reference.owner), static_cast<int>(reference.file));
  if (file < 0) return CUDA_ERROR_MAP_FAILED;
  std::byte* const memory = map_file(file, reference.size);
  ::close(file);
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  *out = fake(memory);
  all.pieces[*out] = {memory, reference.size, current_device(), -1, false, true};
  return CUDA_SUCCESS;
}

CUresult cuIpcCloseMemHandle(CUdeviceptr address) {
  READY();
  return drop_piece(address, true);
}

CUresult cuIpcGetEventHandle(CUipcEventHandle* handle, CUevent event) {
  READY();
  if (const long error = number_from_environment("SHMLANE_STANDIN_IPC_EVENT", 0); error != 0) {
    return static_cast<CUresult>(error);
  }
  Event* const found = event_of(event);
  if (found == nullptr || found->file() < 0) return refuse(CUDA_ERROR_INVALID_HANDLE, "a handle of a private event");
  const Reference reference{kMagicEvent, ::getpid(), found->file(), 0, 0};
  std::memset(handle, 0, sizeof *handle);
  std::memcpy(handle, &reference, sizeof reference);
  return CUDA_SUCCESS;
}

CUresult cuIpcOpenEventHandle(CUevent* out, CUipcEventHandle handle) {
  READY();
  Reference reference{};
  std::memcpy(&reference, &handle, sizeof reference);
  if (reference.magic != kMagicEvent) return CUDA_ERROR_INVALID_VALUE;
  if (reference.owner == ::getpid()) {
    return refuse(CUDA_ERROR_INVALID_CONTEXT, "an event was opened in the process that exported it");
  }
  const int file = open_file(static_cast<pid_t>(reference.owner), static_cast<int>(reference.file));
  if (file < 0) return CUDA_ERROR_MAP_FAILED;
  auto event = std::make_unique<Event>(file, false);
  ::close(file);
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  *out = reinterpret_cast<CUevent>(event.get());
  all.events[event.get()] = std::move(event);
  return CUDA_SUCCESS;
}

// ---- Virtual memory ---------------------------------------------------------------------------------------------------

CUresult cuMemGetAllocationGranularity(std::size_t* unit, const CUmemAllocationProp*,
                                       CUmemAllocationGranularity_flags) {
  READY();
  *unit = kUnit;
  return CUDA_SUCCESS;
}

CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, std::size_t size, const CUmemAllocationProp* kind,
                     unsigned long long flags) {
  READY();
  if (size == 0 || size % kUnit != 0 || flags != 0 || kind->type != CU_MEM_ALLOCATION_TYPE_PINNED ||
      kind->location.type != CU_MEM_LOCATION_TYPE_DEVICE) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "virtual memory of another kind, or of no whole units");
  }
  if (size > static_cast<std::uint64_t>(number_from_environment("SHMLANE_STANDIN_MEMORY", 1L << 33))) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  *handle = ++all.last_handle;
  all.physical[*handle] = {make_file(size), size, false};
  return CUDA_SUCCESS;
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  READY();
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  const auto found = all.physical.find(handle);
  if (found == all.physical.end()) return refuse(CUDA_ERROR_INVALID_VALUE, "virtual memory was released twice");
  ::close(found->second.file);
  all.physical.erase(found);
  return CUDA_SUCCESS;
}

CUresult cuMemExportToShareableHandle(void* descriptor, CUmemGenericAllocationHandle handle,
                                      CUmemAllocationHandleType kind, unsigned long long) {
  READY();
  if (const long error = number_from_environment("SHMLANE_STANDIN_EXPORT", 0); error != 0) {
    return static_cast<CUresult>(error);
  }
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  const auto found = all.physical.find(handle);
  if (found == all.physical.end() || found->second.imported || kind != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "an export of what is not there, or another process's");
  }
  const int copy = ::fcntl(found->second.file, F_DUPFD_CLOEXEC, 0);
  std::memcpy(descriptor, &copy, sizeof copy);
  return CUDA_SUCCESS;
}

CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle* handle, void* descriptor,
                                        CUmemAllocationHandleType) {
  READY();
  if (const long error = number_from_environment("SHMLANE_STANDIN_IMPORT", 0); error != 0) {
    return static_cast<CUresult>(error);
  }
  const int file = ::fcntl(static_cast<int>(reinterpret_cast<std::intptr_t>(descriptor)), F_DUPFD_CLOEXEC, 0);
  struct stat facts {};
  if (file < 0 || ::fstat(file, &facts) != 0 || facts.st_size == 0) return CUDA_ERROR_INVALID_HANDLE;
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  *handle = ++all.last_handle;
  all.physical[*handle] = {file, static_cast<std::uint64_t>(facts.st_size), true};
  return CUDA_SUCCESS;
}

CUresult cuMemAddressReserve(CUdeviceptr* out, std::size_t size, std::size_t, CUdeviceptr, unsigned long long) {
  READY();
  if (size == 0 || size % kUnit != 0) return CUDA_ERROR_INVALID_VALUE;
  void* const memory = ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  *out = fake(memory);
  all.reserved[*out] = size;
  return CUDA_SUCCESS;
}

CUresult cuMemAddressFree(CUdeviceptr address, std::size_t size) {
  READY();
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  const auto found = all.reserved.find(address);
  if (found == all.reserved.end() || found->second != size || all.pieces.contains(address)) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "addresses were freed that are mapped, or not reserved");
  }
  ::munmap(real(address), size);
  all.reserved.erase(found);
  return CUDA_SUCCESS;
}

CUresult cuMemMap(CUdeviceptr address, std::size_t size, std::size_t offset, CUmemGenericAllocationHandle handle,
                  unsigned long long) {
  READY();
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  const auto found = all.physical.find(handle);
  const auto place = all.reserved.find(address);
  if (found == all.physical.end() || place == all.reserved.end() || place->second != size || offset != 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "a mapping of nothing, or to nowhere");
  }
  if (size > found->second.size) return CUDA_ERROR_INVALID_VALUE;  // what another process said may be a lie
  ::mmap(real(address), size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, found->second.file, 0);
  all.pieces[address] = {real(address), size, current_device(), -1, false, found->second.imported, true, false};
  return CUDA_SUCCESS;
}

CUresult cuMemSetAccess(CUdeviceptr address, std::size_t size, const CUmemAccessDesc* access, std::size_t count) {
  READY();
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  const auto found = all.pieces.find(address);
  if (found == all.pieces.end() || !found->second.mapped || found->second.size != size || count != 1 ||
      access->location.id != found->second.device) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "access to what is not mapped");
  }
  found->second.usable = access->flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  return CUDA_SUCCESS;
}

CUresult cuMemUnmap(CUdeviceptr address, std::size_t size) {
  READY();
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  const auto found = all.pieces.find(address);
  if (found == all.pieces.end() || !found->second.mapped || found->second.size != size) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "what is not mapped was unmapped");
  }
  ::mmap(real(address), size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  all.pieces.erase(found);
  return CUDA_SUCCESS;
}

}  // extern "C"
