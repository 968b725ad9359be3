// SPDX-License-Identifier: Apache-2.0
// Devices: found once, opened when first used.
#include "os/cuda/device.hpp"

#include <cstring>
#include <memory>
#include <vector>

#include "shmlane/error.hpp"

namespace shmlane::os::cuda {
namespace {

constexpr std::uint64_t kKeptBytes = std::uint64_t{512} << 20;  // of a pool, though nobody uses them

CUdevice handle_of(int ordinal) {
  CUdevice handle = 0;
  check(driver().device_get(&handle, ordinal), "be found");
  return handle;
}

Uuid uuid_of(CUdevice handle) {
  CUuuid found{};
  check(driver().device_uuid(&found, handle), "tell its UUID");
  Uuid uuid{};
  std::memcpy(uuid.data(), found.bytes, uuid.size());
  return uuid;
}

// 32 hexadecimal digits.
std::string to_text(const Uuid& uuid) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : uuid) (text += kDigits[byte >> 4]) += kDigits[byte & 15];
  return text;
}

std::string list_devices() {
  std::string list;
  for (int i = 0; i < device_count(); ++i) {
    list += (i == 0 ? "" : ", ") + std::string("cuda:") + std::to_string(i) + " " + to_text(uuid_of(handle_of(i)));
  }
  return list;
}

}  // namespace

Device::Device(int ordinal) : ordinal_(ordinal), handle_(handle_of(ordinal)), uuid_(uuid_of(handle_)) {
  std::array<char, 256> name{};
  check(driver().device_name(name.data(), static_cast<int>(name.size() - 1), handle_), "tell its name");
  name_ = name.data();
}

void Device::open() {
  check(driver().primary_context(&context_, handle_), "open");
  const Current current(*this);
  check(driver().stream_create(&stream_, CU_STREAM_NON_BLOCKING), "make a CUDA stream");
  if (has(CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED)) make_pool();
}

bool Device::has(CUdevice_attribute attribute) const {
  int value = 0;  // also of what the driver does not know
  return driver().device_attribute(&value, attribute, handle_) == CUDA_SUCCESS && value != 0;
}

void Device::make_pool() {
  CUmemPoolProps properties{};
  properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.handleTypes = CU_MEM_HANDLE_TYPE_NONE;
  properties.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = ordinal_};
  if (driver().pool_create(&pool_, &properties) != CUDA_SUCCESS) pool_ = nullptr;
  cuuint64_t kept = kKeptBytes;
  if (pool_ != nullptr) driver().pool_set_attribute(pool_, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &kept);
}

CUdeviceptr Device::allocate(std::uint64_t size) const {
  CUdeviceptr memory = 0;
  const std::uint64_t bytes = size == 0 ? 1 : size;
  if (pool_ == nullptr) {
    check(driver().allocate(&memory, bytes), "allocate memory");
  } else {
    check(driver().allocate_from_pool(&memory, bytes, pool_, stream_), "allocate memory");
    // It is there once the stream has come to it, and others than this stream will use it.
    check(driver().stream_synchronize(stream_), "allocate memory");
  }
  return memory;
}

void Device::give_back(CUdeviceptr memory) const noexcept {
  if (pool_ == nullptr) {
    driver().free(memory);
  } else {
    driver().free_async(memory, stream_);
  }
}

int device_count() {
  int count = 0;
  check(driver().device_count(&count), "be counted");
  return count;
}

Device& device(int ordinal) {
  static std::mutex mutex;
  static auto* const devices = new std::vector<std::unique_ptr<Device>>;  // never destroyed, as the driver is not
  const int count = device_count();
  if (ordinal < 0 || ordinal >= count) {
    throw NoDevice("there is no cuda:" + std::to_string(ordinal) + ": this process sees " + list_devices());
  }
  const std::lock_guard guard(mutex);
  while (devices->size() < static_cast<std::size_t>(count)) {
    devices->push_back(std::unique_ptr<Device>(new Device(static_cast<int>(devices->size()))));
  }
  Device& found = *(*devices)[static_cast<std::size_t>(ordinal)];
  std::call_once(found.opened_, [&] { found.open(); });
  return found;
}

Device& device(const Uuid& uuid) {
  for (int i = 0; i < device_count(); ++i) {
    if (uuid_of(handle_of(i)) == uuid) return device(i);
  }
  throw NoDevice("the array lies on the GPU " + to_text(uuid) + ", which this process does not see; it sees " +
                 list_devices());
}

Device& device_of(std::uint64_t pointer) {
  int ordinal = 0;
  const CUresult result =
      driver().pointer_attribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, static_cast<CUdeviceptr>(pointer));
  if (result != CUDA_SUCCESS) throw UnsupportedType("the memory of this array is not a GPU's");
  return device(ordinal);
}

}  // namespace shmlane::os::cuda
