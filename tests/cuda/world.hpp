// SPDX-License-Identifier: Apache-2.0
// What tests of arrays of GPUs share: patterns, and children that must end well and leave no trace of misuse.
#pragma once

#include <dlfcn.h>
#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "shmlane/cuda.hpp"
#include "shmlane/error.hpp"
#include "support/processes.hpp"
#include "support/shm.hpp"

namespace cuda_tests {

using namespace std::chrono_literals;
using processes::Child;
using processes::expect;
using shmlane::Consumer;
using shmlane::Dims;
using shmlane::DType;
using shmlane::Producer;
using shmlane::PushResult;
using shmlane::cuda::DeviceArray;
using shmlane::cuda::DeviceView;
using shmlane::cuda::Exporter;
using shmlane::cuda::Importer;

inline std::vector<float> pattern(std::size_t count, float first = 0) {
  std::vector<float> items(count);
  std::iota(items.begin(), items.end(), first);
  return items;
}

// A device array of `pattern`.
inline DeviceArray on_device(const std::vector<float>& items, const Dims& shape, int device = 0) {
  DeviceArray array = DeviceArray::allocate(DType("<f4"), shape, device);
  array.copy_from_host(items.data());
  return array;
}

inline std::vector<float> on_host(const DeviceArray& array) {
  std::vector<float> items(static_cast<std::size_t>(array.nbytes()) / sizeof(float));
  array.copy_to_host(items.data());
  return items;
}

inline void give(shmlane::PushResult result) { expect(result == PushResult::kPushed, "nothing was pushed"); }

inline bool on_standin() { return std::getenv("SHMLANE_CUDA_DRIVER") != nullptr; }

// Whether memory is shared by legacy handles.
inline bool legacy_memory() {
  const char* const memory = std::getenv("SHMLANE_CUDA_MEMORY");
  return memory != nullptr && std::string_view(memory) == "ipc";
}

// For tests that make the driver behave in a way that a real one cannot be asked for.
#define NEEDS_STANDIN()                            \
  if (!cuda_tests::on_standin()) {                 \
    MESSAGE("SKIPPED: needs the stand-in driver"); \
    return;                                        \
  }

// Whether this process has so many "pieces" of memory, "mappings" or "events". True on a real driver, which does not tell.
inline bool has(long count, const char* what) {
  if (!on_standin()) return true;
  void* const library = ::dlopen(std::getenv("SHMLANE_CUDA_DRIVER"), RTLD_NOW | RTLD_NOLOAD);
  if (library == nullptr) return count == 0;
  return reinterpret_cast<long (*)(const char*)>(::dlsym(library, "shmlane_standin_count"))(what) == count;
}

// Every process of a test uses the GPU in a child, because none may after a fork; the parent only watches.
class CudaTest : public ShmTest {
 public:
  CudaTest() : log_("/tmp/" + name("misuse")) { ::setenv("SHMLANE_STANDIN_LOG", log_.c_str(), 1); }
  ~CudaTest() {
    std::ifstream file(log_);
    std::stringstream text;
    text << file.rdbuf();
    CHECK(text.str() == "");
    std::filesystem::remove(log_);
  }
  CudaTest(const CudaTest&) = delete;
  CudaTest& operator=(const CudaTest&) = delete;

 private:
  std::string log_;
};

// Whether `work` throws an E whose message has `part`; else throws what is wrong.
template <class E, class Work>
void expect_error(const std::string& part, Work&& work) {
  try {
    work();
  } catch (const E& error) {
    expect(std::string(error.what()).find(part) != std::string::npos, std::string("another message: ") + error.what());
    return;
  }
  expect(false, "no error: " + part);
}

}  // namespace cuda_tests
