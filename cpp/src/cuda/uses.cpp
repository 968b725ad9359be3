// SPDX-License-Identifier: Apache-2.0
// Waiting for CUDA streams by events.
#include "cuda/uses.hpp"

#include <algorithm>
#include <utility>

#include "shmlane/error.hpp"

namespace shmlane::cuda {

using os::cuda::Current;
using os::cuda::Device;
using os::cuda::driver;
using os::cuda::Event;

void Uses::used_on(CUstream stream) {
  const std::lock_guard guard(mutex_);
  if (std::find(streams_.begin(), streams_.end(), stream) == streams_.end()) streams_.push_back(stream);
}

template <class Wait>
void Uses::for_each(Wait&& wait) noexcept {
  const std::lock_guard guard(mutex_);
  if (streams_.empty() || !os::cuda::usable()) return;
  try {
    const Current current(*device_);
    for (CUstream stream : std::exchange(streams_, {})) {
      if (stream == CU_STREAM_PER_THREAD) {
        // Each thread's own, and nobody can ask for another's.
        driver().synchronize_context();
        continue;
      }
      const Event event;
      if (driver().event_record(event.get(), stream) == CUDA_SUCCESS) wait(event);
    }
  } catch (const Error&) {
    // The device has failed: nothing of it will be read any more.
  }
}

void Uses::wait() noexcept {
  for_each([](const Event& event) { driver().event_synchronize(event.get()); });
}

void Uses::own_stream_waits() noexcept {
  for_each([this](const Event& event) { driver().stream_wait_event(device_->stream(), event.get(), 0); });
}

Owned::Owned(Device& device, std::uint64_t size) : Uses(device) {
  const Current current(device);
  memory_ = device.allocate(size);
}

Owned::~Owned() {
  if (!os::cuda::usable()) return;
  own_stream_waits();
  try {
    const Current current(device());
    device().give_back(memory_);
  } catch (const Error&) {
    // Without its context the memory is gone already.
  }
}

}  // namespace shmlane::cuda
