// SPDX-License-Identifier: Apache-2.0
// Devices and arrays as users see them.
#include <cstring>

#include "cuda/copies.hpp"
#include "cuda/device_memory.hpp"
#include "cuda_placement.hpp"
#include "shmlane/cuda.hpp"
#include "shmlane/error.hpp"

namespace shmlane::cuda {

using os::cuda::check;
using os::cuda::Current;
using os::cuda::Device;
using os::cuda::driver;
using os::cuda::Event;

std::vector<DeviceInfo> devices() {
  std::vector<DeviceInfo> found;
  for (int i = 0; i < os::cuda::device_count(); ++i) {
    const Device& device = os::cuda::device(i);
    found.push_back({i, device.name(), uuid_text(device.uuid())});
  }
  return found;
}

std::string why_unavailable() {
  try {
    driver();
    return "";
  } catch (const NoDevice& error) {
    return error.what();
  }
}

int device_of(std::uintptr_t data) { return os::cuda::device_of(data).ordinal(); }

Stream own_stream(int device) { return os::cuda::device(device).stream(); }

void own_stream_waits_for(int device, Stream stream) {
  Uses uses(os::cuda::device(device));
  uses.used_on(static_cast<CUstream>(stream));
  uses.own_stream_waits();
}

void synchronise(int device, Stream stream) {
  Uses uses(os::cuda::device(device));
  uses.used_on(static_cast<CUstream>(stream));
  uses.wait();
}

DeviceView DeviceView::contiguous(DType dtype, Dims shape, std::uintptr_t data, int device) {
  NdView view = NdView::contiguous(std::move(dtype), std::move(shape), nullptr);
  return {std::move(view.dtype), std::move(view.shape), std::move(view.strides), data, device};
}

std::uint64_t DeviceView::nbytes() const { return NdView{dtype, shape, strides, nullptr}.nbytes(); }

bool DeviceView::is_c_contiguous() const { return NdView{dtype, shape, strides, nullptr}.is_c_contiguous(); }

DeviceArray DeviceArray::allocate(DType dtype, Dims shape, int device) {
  DeviceView view = DeviceView::contiguous(std::move(dtype), std::move(shape), 0, device);
  auto owned = std::make_shared<OwnedMemory>(os::cuda::device(device), view.nbytes());
  view.data = owned->data();
  return {std::move(view), std::move(owned)};
}

DeviceArray borrow(DeviceView view, std::shared_ptr<void> keep) {
  return {std::move(view), std::make_shared<LentMemory>(std::move(keep))};
}

void DeviceArray::used_on(Stream stream) const {
  if (memory_ != nullptr) memory_->used_on(stream);
}

void DeviceArray::copy_to_host(void* out) const {
  DeviceArray packed = *this;
  if (!is_c_contiguous()) {
    packed = allocate(dtype, shape, device);
    copy(*this, packed);
  }
  if (nbytes() == 0) return;
  Device& on = os::cuda::device(device);
  const Current current(on);
  check(driver().copy(reinterpret_cast<CUdeviceptr>(out), packed.data, nbytes(), on.stream()), "copy to the host");
  finish(on);
}

void DeviceArray::copy_from_host(const void* from) const {
  if (!is_c_contiguous()) throw InvalidArgument("only an array in C order can be copied to from the host");
  if (nbytes() == 0) return;
  Device& on = os::cuda::device(device);
  const Current current(on);
  check(driver().copy(data, reinterpret_cast<CUdeviceptr>(from), nbytes(), on.stream()), "copy from the host");
  finish(on);
}

void DeviceArray::fill(std::byte value) const {
  if (!is_c_contiguous()) throw InvalidArgument("only an array in C order can be filled");
  if (nbytes() == 0) return;
  Device& on = os::cuda::device(device);
  const Current current(on);
  check(driver().set_bytes(data, static_cast<unsigned char>(value), nbytes(), on.stream()), "fill memory");
  finish(on);
}

void finish(const Device& device) {
  const Event event;
  event.record(device.stream());
  check(driver().event_synchronize(event.get()), "copy memory");
}

void copy(const DeviceView& from, const DeviceView& to, std::optional<Stream> stream) {
  check_view(from);
  check_view(to);
  if (!(from.shape == to.shape) || !(from.dtype == to.dtype) || !to.is_c_contiguous()) {
    throw InvalidArgument("arrays of two shapes or dtypes, or a target that is not in C order");
  }
  Device& on = os::cuda::device(to.device);
  if (from.device != to.device && !from.is_c_contiguous() && from.nbytes() != 0) {
    // Our CUDA kernel runs where the memory is: another device may not read it at all.
    const DeviceArray packed = DeviceArray::allocate(from.dtype, from.shape, from.device);
    if (stream) synchronise(to.device, *stream);
    copy(from, packed);
    return copy(packed, to);
  }
  const Current current(on);
  copy_items(on, from, to.data, stream ? static_cast<CUstream>(*stream) : on.stream());
  if (!stream) finish(on);
}

}  // namespace shmlane::cuda
