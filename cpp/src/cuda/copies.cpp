// SPDX-License-Identifier: Apache-2.0
// Copies on a device: one of the driver's where the items lie in C order, else our CUDA kernel.
#include "cuda/copies.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <string>

#include "shmlane/error.hpp"

#if defined(SHMLANE_CUDA_FATBIN)
// The CUDA kernels as nvcc made them, for the driver to load.
asm(R"(
  .section .rodata
  .global shmlane_cuda_fatbin
  .hidden shmlane_cuda_fatbin
  .balign 16
shmlane_cuda_fatbin:
  .incbin ")" SHMLANE_CUDA_FATBIN R"("
  .balign 16
  .previous
)");
extern "C" const unsigned char shmlane_cuda_fatbin[];
#endif

namespace shmlane::cuda {

using os::cuda::check;
using os::cuda::Device;
using os::cuda::driver;

namespace {

constexpr unsigned kThreads = 256;
constexpr std::uint64_t kMostBlocks = 16384;

#if defined(SHMLANE_CUDA_FATBIN)
// Loaded once for each device. Under its Current.
CUfunction gather_kernel(const Device& device, int word) {
  static std::mutex mutex;
  static auto* const modules = new std::map<int, CUmodule>;
  const std::lock_guard guard(mutex);
  CUmodule& module = (*modules)[device.ordinal()];
  if (module == nullptr) check(driver().module_load(&module, shmlane_cuda_fatbin), "load our CUDA kernels");
  CUfunction function = nullptr;
  check(driver().module_function(&function, module, ("shmlane_gather_" + std::to_string(word)).c_str()),
        "find our CUDA kernel");
  return function;
}
#else
CUfunction gather_kernel(const Device&, int) {
  throw UnsupportedType("the array is not contiguous, and shmlane was built without nvcc: make it contiguous first");
}
#endif

// Joins a dimension to the one outside of it, if one step of that is as long as the whole of this.
void add_dimension(GatherPlan& plan, std::int64_t length, std::int64_t stride) {
  if (length == 1) return;
  if (plan.dimensions > 0) {
    const int outer = plan.dimensions - 1;
    if (plan.strides[outer] == length * stride) {
      plan.shape[outer] *= static_cast<std::uint64_t>(length);
      plan.strides[outer] = stride;
      return;
    }
  }
  if (plan.dimensions == kGatherDimensions) {
    throw UnsupportedType("an array of a GPU whose items lie in too many different steps: make it contiguous first");
  }
  plan.shape[plan.dimensions] = static_cast<std::uint64_t>(length);
  plan.strides[plan.dimensions++] = stride;
}

}  // namespace

void check_view(const DeviceView& view) {
  if (view.strides.size() != view.shape.size()) throw InvalidArgument("an array needs one stride per dimension");
  if (view.nbytes() != 0 && view.data == 0) throw InvalidArgument("an array without a place in a GPU's memory");
}

GatherPlan plan_gather(const DeviceView& from, std::uint64_t out) {
  GatherPlan plan{};
  plan.in = from.data;
  plan.out = out;
  plan.word = 1;
  plan.words = from.nbytes();
  for (std::size_t i = 0; i < from.shape.size(); ++i) add_dimension(plan, from.shape[i], from.strides[i]);
  add_dimension(plan, static_cast<std::int64_t>(from.dtype.itemsize()), 1);
  const int last = plan.dimensions - 1;
  if (last < 0 || plan.strides[last] != 1) return plan;
  // The bytes of a run go in words as large as everything about the run allows.
  std::uint64_t together = plan.shape[last] | plan.in | plan.out;
  for (int i = 0; i < last; ++i) together |= static_cast<std::uint64_t>(plan.strides[i]);
  for (plan.word = 16; together % static_cast<std::uint64_t>(plan.word) != 0;) plan.word /= 2;
  plan.words /= static_cast<std::uint64_t>(plan.word);
  plan.shape[last] /= static_cast<std::uint64_t>(plan.word);
  plan.strides[last] = plan.word;
  if (plan.shape[last] == 1) plan.dimensions = last;
  return plan;
}

void copy_items(Device& device, const DeviceView& from, CUdeviceptr out, CUstream stream) {
  check_view(from);
  const std::uint64_t size = from.nbytes();
  if (size == 0) return;
  if (from.is_c_contiguous()) {
    check(driver().copy(out, from.data, size, stream), "copy memory");
    return;
  }
  GatherPlan plan = plan_gather(from, out);
  std::array<void*, 1> arguments = {&plan};
  const auto blocks = static_cast<unsigned>(std::min((plan.words + kThreads - 1) / kThreads, kMostBlocks));
  check(driver().launch(gather_kernel(device, plan.word), blocks, 1, 1, kThreads, 1, 1, 0, stream, arguments.data(),
                        nullptr),
        "start our CUDA kernel");
}

}  // namespace shmlane::cuda
