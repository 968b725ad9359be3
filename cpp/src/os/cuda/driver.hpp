// SPDX-License-Identifier: Apache-2.0
// The CUDA driver, loaded when it is first used: one build runs with and without a GPU, and needs no CUDA runtime.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace shmlane::os::cuda {

// X(member, function). cuda.h renames each function to its present version; that name is the one that is looked up, so
// that name and type belong together.
#define SHMLANE_CUDA_CALLS(X)                      \
  X(init, cuInit)                                  \
  X(device_count, cuDeviceGetCount)                \
  X(device_get, cuDeviceGet)                       \
  X(device_name, cuDeviceGetName)                  \
  X(device_uuid, cuDeviceGetUuid)                  \
  X(device_attribute, cuDeviceGetAttribute)        \
  X(primary_context, cuDevicePrimaryCtxRetain)     \
  X(push_context, cuCtxPushCurrent)                \
  X(pop_context, cuCtxPopCurrent)                  \
  X(synchronize_context, cuCtxSynchronize)         \
  X(allocate, cuMemAlloc)                          \
  X(free, cuMemFree)                               \
  X(address_range, cuMemGetAddressRange)           \
  X(pointer_attribute, cuPointerGetAttribute)      \
  X(pool_create, cuMemPoolCreate)                  \
  X(pool_set_attribute, cuMemPoolSetAttribute)     \
  X(allocate_from_pool, cuMemAllocFromPoolAsync)   \
  X(free_async, cuMemFreeAsync)                    \
  X(granularity, cuMemGetAllocationGranularity)    \
  X(create_memory, cuMemCreate)                    \
  X(release_memory, cuMemRelease)                  \
  X(export_memory, cuMemExportToShareableHandle)   \
  X(import_memory, cuMemImportFromShareableHandle) \
  X(reserve_addresses, cuMemAddressReserve)        \
  X(free_addresses, cuMemAddressFree)              \
  X(map, cuMemMap)                                 \
  X(unmap, cuMemUnmap)                             \
  X(set_access, cuMemSetAccess)                    \
  X(copy, cuMemcpyAsync)                           \
  X(set_bytes, cuMemsetD8Async)                    \
  X(stream_create, cuStreamCreate)                 \
  X(stream_synchronize, cuStreamSynchronize)       \
  X(stream_wait_event, cuStreamWaitEvent)          \
  X(event_create, cuEventCreate)                   \
  X(event_destroy, cuEventDestroy)                 \
  X(event_record, cuEventRecord)                   \
  X(event_query, cuEventQuery)                     \
  X(event_synchronize, cuEventSynchronize)         \
  X(ipc_get_memory, cuIpcGetMemHandle)             \
  X(ipc_open_memory, cuIpcOpenMemHandle)           \
  X(ipc_close_memory, cuIpcCloseMemHandle)         \
  X(ipc_get_event, cuIpcGetEventHandle)            \
  X(ipc_open_event, cuIpcOpenEventHandle)          \
  X(module_load, cuModuleLoadData)                 \
  X(module_function, cuModuleGetFunction)          \
  X(launch, cuLaunchKernel)                        \
  X(error_name, cuGetErrorName)                    \
  X(error_text, cuGetErrorString)

struct Driver {
// NOLINTNEXTLINE(bugprone-macro-parentheses): a name cannot stand in parentheses
#define SHMLANE_X(member, function) decltype(&::function) member = nullptr;
  SHMLANE_CUDA_CALLS(SHMLANE_X)
#undef SHMLANE_X
};

// The driver, ready for use. Loads libcuda.so.1, or the library that the environment names in SHMLANE_CUDA_DRIVER (tests
// do). Throws NoDevice that says what is missing; in a forked child of a process that has used it, where it cannot be
// used, too. Thread-safe.
const Driver& driver();

// Whether this process, and not one that it was forked from, has used the driver: for destructors, which must not call
// it otherwise.
bool usable() noexcept;
std::uint64_t process_id() noexcept;

// Throws DeviceFailed, or what fits the result better, unless it is success. `doing` completes "the GPU failed to …".
void check(CUresult result, const char* doing);

}  // namespace shmlane::os::cuda
