// SPDX-License-Identifier: Apache-2.0
// Loading the CUDA driver, and its errors in words that say what to do.
#include "os/cuda/driver.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string>

#include "shmlane/error.hpp"

namespace shmlane::os::cuda {
namespace {

#define SHMLANE_NAME_OF_EXPANDED(name) #name
#define SHMLANE_NAME_OF(name) SHMLANE_NAME_OF_EXPANDED(name)

constexpr const char* kLibrary = "libcuda.so.1";
constexpr const char* kVariable = "SHMLANE_CUDA_DRIVER";

constexpr const char* kForked =
    "this process was forked from one that had used CUDA, whose driver does not work in it: start workers by spawn "
    "or forkserver, or fork before the first use of a GPU";

std::atomic<pid_t> user{0};  // the process that has initialised the driver

std::string text_of(const Driver& calls, CUresult result) {
  const char* name = nullptr;
  const char* text = nullptr;
  if (calls.error_name == nullptr || calls.error_name(result, &name) != CUDA_SUCCESS || name == nullptr) {
    return "error " + std::to_string(static_cast<int>(result));
  }
  calls.error_text(result, &text);
  return std::string(name) + (text != nullptr ? ": " + std::string(text) : "");
}

class Loaded {
 public:
  const Driver& get() {
    const std::lock_guard guard(mutex_);
    if (!tried_) {
      tried_ = true;
      missing_ = load();
    }
    if (!missing_.empty()) throw NoDevice(missing_);
    return calls_;
  }

 private:
  // What is missing, or "".
  std::string load() {
    const char* const asked = ::secure_getenv(kVariable);
    const std::string path = asked != nullptr ? asked : kLibrary;
    void* const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      return "no CUDA driver: " + std::string(::dlerror()) +
             "; install NVIDIA's driver, and give containers the GPU (docker run --gpus all)";
    }
    std::string lacking;
    const auto find = [&]<class Call>(Call& call, const char* name) {
      call = reinterpret_cast<Call>(::dlsym(library, name));
      if (call == nullptr && lacking.empty()) lacking = name;
    };
#define SHMLANE_X(member, function) find(calls_.member, SHMLANE_NAME_OF(function));
    SHMLANE_CUDA_CALLS(SHMLANE_X)
#undef SHMLANE_X
    if (!lacking.empty()) return path + " is too old: it lacks " + lacking + "; CUDA 11.4 or newer is needed";
    return initialise();
  }

  std::string initialise() {
    user = ::getpid();  // before: what failed half-way cannot be used after a fork either
    const CUresult result = calls_.init(0);
    int count = 0;
    if (result == CUDA_SUCCESS && calls_.device_count(&count) == CUDA_SUCCESS && count > 0) return "";
    user = 0;
    if (result == CUDA_SUCCESS || result == CUDA_ERROR_NO_DEVICE) {
      return "the CUDA driver sees no device (nvidia-smi lists them; CUDA_VISIBLE_DEVICES may hide them)";
    }
    if (result == CUDA_ERROR_NOT_INITIALIZED) return kForked;  // another library had used it
    if (result == CUDA_ERROR_STUB_LIBRARY) {
      return "the CUDA driver that was found is the toolkit's stub, for linking only: put NVIDIA's own before it";
    }
    return "the CUDA driver cannot start (" + text_of(calls_, result) + "); is its kernel module of the same version?";
  }

  std::mutex mutex_;
  bool tried_ = false;
  std::string missing_;
  Driver calls_;
};

Loaded& loaded() {
  static Loaded* const loaded = new Loaded;  // never destroyed: memory of a GPU may outlive every other object
  return *loaded;
}

}  // namespace

const Driver& driver() {
  if (user != 0 && user != ::getpid()) {
    throw NoDevice(kForked);
  }
  return loaded().get();
}

bool usable() noexcept { return user == ::getpid(); }

std::uint64_t process_id() noexcept { return static_cast<std::uint64_t>(::getpid()); }

void check(CUresult result, const char* doing) {
  if (result == CUDA_SUCCESS) return;
  const std::string what = "the GPU failed to " + std::string(doing) + " (" + text_of(driver(), result) + ")";
  if (result == CUDA_ERROR_OUT_OF_MEMORY) throw NoSpace(what + ": too little of its memory is free");
  throw DeviceFailed(what);
}

}  // namespace shmlane::os::cuda
