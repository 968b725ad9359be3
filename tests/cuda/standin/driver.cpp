// SPDX-License-Identifier: Apache-2.0
// The CUDA driver's entry points that shmlane uses, on a machine without a GPU: for tests of everything but the device.
#include <cuda.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstring>
#include <sstream>

#include "cuda/gather.hpp"
#include "machine.hpp"

namespace {

using namespace standin;

constexpr std::uint64_t kMagicMemory = 0x79726f6d656d6c73, kMagicEvent = 0x746e6576656e6c73;
thread_local std::vector<CUcontext> contexts;

struct Reference {  // what a handle holds
  std::uint64_t magic;
  std::int64_t owner;
  std::int64_t file;
  std::uint64_t size;
  std::int64_t device;
};

CUresult refuse(CUresult result, const std::string& what) {
  misuse(what);
  return result;
}

CUcontext context_of(std::size_t index) { return reinterpret_cast<CUcontext>(0x1000 + 16 * index); }
int current_device() { return static_cast<int>((reinterpret_cast<std::uintptr_t>(contexts.back()) - 0x1000) / 16); }

// What every call but a few needs: an initialised driver of this very process, and a context.
CUresult ready() {
  if (machine().owner != ::getpid())
    return refuse(CUDA_ERROR_NOT_INITIALIZED, "a call without cuInit, or after a fork");
  if (contexts.empty()) return refuse(CUDA_ERROR_INVALID_CONTEXT, "a call without a current context");
  return CUDA_SUCCESS;
}
#define READY() \
  if (const CUresult unready = ready(); unready != CUDA_SUCCESS) return unready

Stream* stream_of(CUstream stream) {
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  if (reinterpret_cast<std::uintptr_t>(stream) <= 2) {
    if (all.default_stream == nullptr) all.default_stream = std::make_unique<Stream>();
    return all.default_stream.get();
  }
  const auto found = all.streams.find(reinterpret_cast<Stream*>(stream));
  return found == all.streams.end() ? nullptr : found->second.get();
}

Event* event_of(CUevent event) {
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  const auto found = all.events.find(reinterpret_cast<Event*>(event));
  return found == all.events.end() ? nullptr : found->second.get();
}

CUresult add_piece(CUdeviceptr* out, std::uint64_t size, bool pooled) {
  if (size == 0) return refuse(CUDA_ERROR_INVALID_VALUE, "an allocation of nothing");
  const long limit = number_from_environment("SHMLANE_STANDIN_MEMORY", 1L << 33);
  if (size > static_cast<std::uint64_t>(limit)) return CUDA_ERROR_OUT_OF_MEMORY;
  const int file = make_file(size);
  std::byte* const memory = map_file(file, size);
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  *out = fake(memory);
  all.pieces[*out] = {memory, size, current_device(), file, pooled, false};
  return CUDA_SUCCESS;
}

CUresult drop_piece(CUdeviceptr address, bool opened) {
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  const auto found = all.pieces.find(address);
  if (found == all.pieces.end() || found->second.opened != opened) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "memory was freed or closed that is not there, or twice");
  }
  ::munmap(found->second.memory, found->second.size);
  if (found->second.file >= 0) ::close(found->second.file);
  all.pieces.erase(found);
  return CUDA_SUCCESS;
}

// One end of a copy: the host's own memory, or all of it in one piece.
std::byte* end_of_copy(CUdeviceptr address, std::size_t size) {
  if ((address & kBias) == 0) return reinterpret_cast<std::byte*>(address);
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  return all.find(address, size) != nullptr ? real(address) : nullptr;
}

void gather(const shmlane::cuda::GatherPlan& plan) {
  for (std::uint64_t at = 0; at < plan.words; ++at) {
    std::uint64_t rest = at;
    std::int64_t offset = 0;
    for (int i = plan.dimensions - 1; i >= 0; --i) {
      offset += static_cast<std::int64_t>(rest % plan.shape[i]) * plan.strides[i];
      rest /= plan.shape[i];
    }
    const auto word = static_cast<std::size_t>(plan.word);
    std::memcpy(real(plan.out + at * word), real(plan.in + static_cast<std::uint64_t>(offset)), word);
  }
}

}  // namespace

extern "C" {

// For tests: how many things of a kind this process has.
long shmlane_standin_count(const char* what) {
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  long count = 0;
  const std::string kind(what);
  for (const auto& [address, piece] : all.pieces) count += piece.opened == (kind == "mappings") && kind != "events";
  return kind == "events" ? static_cast<long>(all.events.size()) : count;
}

CUresult cuInit(unsigned) {
  Machine& all = machine();
  if (all.owner != 0 && all.owner != ::getpid()) return CUDA_ERROR_NOT_INITIALIZED;
  if (const long error = number_from_environment("SHMLANE_STANDIN_INIT", 0); error != 0) {
    return static_cast<CUresult>(error);
  }
  const char* const visible = std::getenv("SHMLANE_STANDIN_VISIBLE");
  std::istringstream list(visible != nullptr ? visible : "0 1");
  all.visible.clear();
  for (int number = 0; list >> number;) all.visible.push_back(number);
  all.owner = ::getpid();
  return all.visible.empty() ? CUDA_ERROR_NO_DEVICE : CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int* count) {
  *count = static_cast<int>(machine().visible.size());
  return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  if (ordinal < 0 || static_cast<std::size_t>(ordinal) >= machine().visible.size()) return CUDA_ERROR_INVALID_DEVICE;
  *device = ordinal;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
  std::snprintf(name, static_cast<std::size_t>(length), "Stand-in %d",
                machine().visible[static_cast<std::size_t>(device)]);
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
  std::memset(uuid->bytes, 0x5a, sizeof uuid->bytes);
  uuid->bytes[15] = static_cast<char>(machine().visible[static_cast<std::size_t>(device)]);
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice) {
  const bool pools = attribute == CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED;
  *value = pools ? static_cast<int>(number_from_environment("SHMLANE_STANDIN_POOLS", 1)) : 0;
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  *context = context_of(static_cast<std::size_t>(device));
  return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
  contexts.push_back(context);
  return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent_v2(CUcontext* context) {
  READY();
  *context = contexts.back();
  contexts.pop_back();
  return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr* out, std::size_t size) {
  READY();
  return add_piece(out, size, false);
}

CUresult cuMemFree_v2(CUdeviceptr address) {
  READY();
  return drop_piece(address, false);
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr* base, std::size_t* size, CUdeviceptr address) {
  READY();
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  const Piece* const piece = all.find(address);
  if (piece == nullptr) return CUDA_ERROR_NOT_FOUND;
  *base = fake(piece->memory);
  *size = piece->size;
  return CUDA_SUCCESS;
}

CUresult cuPointerGetAttribute(void* value, CUpointer_attribute attribute, CUdeviceptr address) {
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  const Piece* const piece = all.find(address);
  if (piece == nullptr || attribute != CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) return CUDA_ERROR_INVALID_VALUE;
  *static_cast<int*>(value) = piece->device;
  return CUDA_SUCCESS;
}

CUresult cuMemPoolCreate(CUmemoryPool* pool, const CUmemPoolProps*) {
  *pool = reinterpret_cast<CUmemoryPool>(0x2000);
  return CUDA_SUCCESS;
}

CUresult cuMemPoolSetAttribute(CUmemoryPool, CUmemPool_attribute, void*) { return CUDA_SUCCESS; }

CUresult cuMemAllocFromPoolAsync(CUdeviceptr* out, std::size_t size, CUmemoryPool, CUstream) {
  READY();
  return add_piece(out, size, true);
}

CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream) {
  READY();
  stream_of(stream)->give([address] { drop_piece(address, false); });
  return CUDA_SUCCESS;
}

CUresult cuMemcpyAsync(CUdeviceptr out, CUdeviceptr in, std::size_t size, CUstream on) {
  READY();
  Stream* const stream = stream_of(on);
  if (stream == nullptr) return refuse(CUDA_ERROR_INVALID_HANDLE, "a copy on a CUDA stream that is not there");
  if (end_of_copy(out, size) == nullptr || end_of_copy(in, size) == nullptr) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "a copy beyond a piece of memory");
  }
  stream->give([=] {
    std::byte* const to = end_of_copy(out, size);
    const std::byte* const from = end_of_copy(in, size);
    if (to == nullptr || from == nullptr) return misuse("memory was freed while a copy used it");
    std::memcpy(to, from, size);
  });
  return CUDA_SUCCESS;
}

CUresult cuMemsetD8Async(CUdeviceptr out, unsigned char value, std::size_t size, CUstream on) {
  READY();
  Stream* const stream = stream_of(on);
  if (stream == nullptr || end_of_copy(out, size) == nullptr) return refuse(CUDA_ERROR_INVALID_VALUE, "a bad memset");
  stream->give([=] { std::memset(end_of_copy(out, size), value, size); });
  return CUDA_SUCCESS;
}

CUresult cuStreamCreate(CUstream* out, unsigned) {
  READY();
  auto stream = std::make_unique<Stream>();
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  *out = reinterpret_cast<CUstream>(stream.get());
  all.streams[stream.get()] = std::move(stream);
  return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream on) {
  READY();
  Stream* const stream = stream_of(on);
  if (stream == nullptr) return refuse(CUDA_ERROR_INVALID_HANDLE, "a CUDA stream that is not there");
  stream->synchronise();
  return CUDA_SUCCESS;
}

CUresult cuStreamWaitEvent(CUstream on, CUevent event, unsigned) {
  READY();
  Stream* const stream = stream_of(on);
  Event* const found = event_of(event);
  if (stream == nullptr || found == nullptr) return refuse(CUDA_ERROR_INVALID_HANDLE, "a wait for nothing");
  // What is destroyed stays in memory, as streams of the real driver keep what they wait for.
  stream->give([found, turn = found->words().recorded.load()] { found->wait(turn); });
  return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent* out, unsigned flags) {
  READY();
  const bool shared = (flags & CU_EVENT_INTERPROCESS) != 0;
  if (shared && (flags & CU_EVENT_DISABLE_TIMING) == 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "an event between processes with timing");
  }
  auto event = std::make_unique<Event>(shared);
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  *out = reinterpret_cast<CUevent>(event.get());
  all.events[event.get()] = std::move(event);
  return CUDA_SUCCESS;
}

CUresult cuEventDestroy_v2(CUevent event) {
  Event* const found = event_of(event);
  if (found == nullptr) return refuse(CUDA_ERROR_INVALID_HANDLE, "an event was destroyed that is not there, or twice");
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  // A stream may still have to mark it: what is destroyed stays in memory, out of everybody's reach.
  static_cast<void>(all.events.at(found).release());
  all.events.erase(found);
  return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent event, CUstream on) {
  READY();
  Event* const found = event_of(event);
  Stream* const stream = stream_of(on);
  if (found == nullptr || stream == nullptr) return refuse(CUDA_ERROR_INVALID_HANDLE, "a record of nothing");
  stream->give([found, turn = ++found->words().recorded] { found->words().done = turn; });
  return CUDA_SUCCESS;
}

CUresult cuEventQuery(CUevent event) {
  READY();
  Event* const found = event_of(event);
  if (found == nullptr) return refuse(CUDA_ERROR_INVALID_HANDLE, "a query of nothing");
  return found->words().done >= found->words().recorded ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult cuEventSynchronize(CUevent event) {
  READY();
  Event* const found = event_of(event);
  if (found == nullptr) return refuse(CUDA_ERROR_INVALID_HANDLE, "a wait for nothing");
  found->wait(found->words().recorded);
  return CUDA_SUCCESS;
}

CUresult cuIpcGetMemHandle(CUipcMemHandle* handle, CUdeviceptr address) {
  READY();
  if (const long error = number_from_environment("SHMLANE_STANDIN_IPC_GET", 0); error != 0) {
    return static_cast<CUresult>(error);
  }
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  const auto found = all.pieces.find(address);
  if (found == all.pieces.end() || found->second.pooled || found->second.opened) {
    return refuse(CUDA_ERROR_INVALID_VALUE,
                  "a handle of a part of an allocation, of a pool's, or of another process's");
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

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  READY();
  constexpr std::uint32_t kFatbin = 0xba55ed50;
  if (image == nullptr || std::memcmp(image, &kFatbin, sizeof kFatbin) != 0) return CUDA_ERROR_INVALID_IMAGE;
  *module = reinterpret_cast<CUmodule>(0x3000);
  return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule, const char* name) {
  constexpr std::string_view kPrefix = "shmlane_gather_";
  if (!std::string_view(name).starts_with(kPrefix)) return CUDA_ERROR_NOT_FOUND;
  *function = reinterpret_cast<CUfunction>(std::atol(name + kPrefix.size()));
  return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                        CUstream on, void** arguments, void**) {
  READY();
  const auto plan = *static_cast<const shmlane::cuda::GatherPlan*>(arguments[0]);
  if (plan.word != static_cast<int>(reinterpret_cast<std::intptr_t>(function))) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "a CUDA kernel for words of another size");
  }
  stream_of(on)->give([plan] { gather(plan); });
  return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult result, const char** name) {
  thread_local std::string text;
  text = "CUDA_ERROR_" + std::to_string(static_cast<int>(result));
  *name = text.c_str();
  return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult, const char** text) {
  *text = "said by the stand-in driver";
  return CUDA_SUCCESS;
}

}  // extern "C"
