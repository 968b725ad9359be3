// SPDX-License-Identifier: Apache-2.0
// The CUDA driver's entry points that shmlane uses, on a machine without a GPU: devices, contexts, CUDA streams and events.
#include <unistd.h>

#include <cstring>
#include <sstream>

#include "calls.hpp"

using namespace standin;

namespace {

thread_local std::vector<CUcontext> contexts;

CUcontext context_of(std::size_t index) { return reinterpret_cast<CUcontext>(0x1000 + 16 * index); }

}  // namespace

namespace standin {

int current_device() { return static_cast<int>((reinterpret_cast<std::uintptr_t>(contexts.back()) - 0x1000) / 16); }

CUresult ready() {
  if (machine().owner != ::getpid())
    return refuse(CUDA_ERROR_NOT_INITIALIZED, "a call without cuInit, or after a fork");
  if (contexts.empty()) return refuse(CUDA_ERROR_INVALID_CONTEXT, "a call without a current context");
  return CUDA_SUCCESS;
}

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

}  // namespace standin

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
  const bool shares = attribute == CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED ||
                      attribute == CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED;
  *value = 0;
  if (pools) *value = static_cast<int>(number_from_environment("SHMLANE_STANDIN_POOLS", 1));
  if (shares) *value = static_cast<int>(number_from_environment("SHMLANE_STANDIN_VIRTUAL", 1));
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

CUresult cuCtxSynchronize() {
  READY();
  Machine& all = machine();
  std::vector<Stream*> streams;
  {
    const std::lock_guard guard(all.mutex);
    for (const auto& [stream, owner] : all.streams) streams.push_back(stream);
    if (all.default_stream != nullptr) streams.push_back(all.default_stream.get());
  }
  for (Stream* const stream : streams) stream->synchronise();
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
  if (const long error = number_from_environment("SHMLANE_STANDIN_QUERY", 0); error != 0) {
    return static_cast<CUresult>(error);  // as after any failure of the device
  }
  return found->words().done >= found->words().recorded ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult cuEventSynchronize(CUevent event) {
  READY();
  Event* const found = event_of(event);
  if (found == nullptr) return refuse(CUDA_ERROR_INVALID_HANDLE, "a wait for nothing");
  found->wait(found->words().recorded);
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
