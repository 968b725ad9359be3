// SPDX-License-Identifier: Apache-2.0
// The stand-in driver's memory of one process, and what works on it.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "calls.hpp"
#include "checksum.hpp"
#include "cuda/gather.hpp"

using namespace standin;

namespace {

constexpr std::intptr_t kChecksum = 1000;  // of functions, beside the gathers' sizes of words

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

void checksum(const cuda_tests::ChecksumPlan& plan) {
  std::uint64_t sum = 0;
  for (std::uint64_t at = 0; at < plan.words; ++at) {
    std::uint64_t word = 0;
    std::memcpy(&word, real(plan.in + 8 * at), sizeof word);
    sum += cuda_tests::checksum_of(word, at);
  }
  std::memcpy(real(plan.out), &sum, sizeof sum);
}

// Whether memory is the current device's: a CUDA kernel may use no other.
bool here(CUdeviceptr address, std::uint64_t size) {
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  const Piece* const piece = all.find(address, size);
  return piece != nullptr && piece->device == current_device();
}

CUresult refuse_foreign() {
  return refuse(CUDA_ERROR_ILLEGAL_ADDRESS, "a CUDA kernel on memory of another device, or on none");
}

}  // namespace

namespace standin {

CUresult drop_piece(CUdeviceptr address, bool opened) {
  Machine& all = machine();
  const std::lock_guard guard(all.mutex);
  const auto found = all.pieces.find(address);
  if (found == all.pieces.end() || found->second.opened != opened || found->second.mapped) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "memory was freed or closed that is not there, or twice");
  }
  ::munmap(found->second.memory, found->second.size);
  if (found->second.file >= 0) ::close(found->second.file);
  all.pieces.erase(found);
  return CUDA_SUCCESS;
}

}  // namespace standin

extern "C" {

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

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  READY();
  constexpr std::uint32_t kFatbin = 0xba55ed50;
  if (image == nullptr || std::memcmp(image, &kFatbin, sizeof kFatbin) != 0) return CUDA_ERROR_INVALID_IMAGE;
  *module = reinterpret_cast<CUmodule>(0x3000);
  return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule, const char* name) {
  constexpr std::string_view kPrefix = "shmlane_gather_";
  const std::string_view asked = name;
  if (asked == "shmlane_test_checksum") {
    *function = reinterpret_cast<CUfunction>(kChecksum);
    return CUDA_SUCCESS;
  }
  if (!asked.starts_with(kPrefix)) return CUDA_ERROR_NOT_FOUND;
  *function = reinterpret_cast<CUfunction>(std::atol(name + kPrefix.size()));
  return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                        CUstream on, void** arguments, void**) {
  READY();
  if (reinterpret_cast<std::intptr_t>(function) == kChecksum) {
    const auto plan = *static_cast<const cuda_tests::ChecksumPlan*>(arguments[0]);
    if (!here(plan.in, 8 * plan.words) || !here(plan.out, 8)) return refuse_foreign();
    stream_of(on)->give([plan] { checksum(plan); });
    return CUDA_SUCCESS;
  }
  const auto plan = *static_cast<const shmlane::cuda::GatherPlan*>(arguments[0]);
  if (plan.word != static_cast<int>(reinterpret_cast<std::intptr_t>(function))) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "a CUDA kernel for words of another size");
  }
  if (!here(plan.in, 1) || !here(plan.out, plan.words * static_cast<std::uint64_t>(plan.word))) {
    return refuse_foreign();
  }
  stream_of(on)->give([plan] { gather(plan); });
  return CUDA_SUCCESS;
}

}  // extern "C"
