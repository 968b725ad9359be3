// SPDX-License-Identifier: Apache-2.0
// What crossed is read by a CUDA kernel of the other process, in place and in a copy: its checksum is that of the host.
#include <fstream>
#include <iterator>

#include "checksum.hpp"
#include "os/cuda/device.hpp"
#include "world.hpp"

namespace {

using namespace cuda_tests;
namespace os_cuda = shmlane::os::cuda;

constexpr std::size_t kWords = std::size_t{1} << 20;

std::vector<std::uint64_t> words_of(std::uint64_t seed) {
  std::vector<std::uint64_t> words(kWords);
  for (std::size_t i = 0; i < kWords; ++i) words[i] = (seed + i) * 0x9e3779b97f4a7c15;
  return words;
}

std::uint64_t on_host_sum(const std::vector<std::uint64_t>& words) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < words.size(); ++i) sum += checksum_of(words[i], i);
  return sum;
}

#if defined(SHMLANE_CHECKSUM_FATBIN)
CUfunction checksum_kernel() {
  static CUmodule module = nullptr;
  if (module == nullptr) {
    std::ifstream file(SHMLANE_CHECKSUM_FATBIN, std::ios::binary);
    const std::vector<char> image{std::istreambuf_iterator<char>(file), {}};
    expect(!image.empty(), "the CUDA kernel of the tests is missing");
    os_cuda::check(os_cuda::driver().module_load(&module, image.data()), "load the CUDA kernel of the tests");
  }
  CUfunction kernel = nullptr;
  os_cuda::check(os_cuda::driver().module_function(&kernel, module, "shmlane_test_checksum"), "find it");
  return kernel;
}

std::uint64_t on_device_sum(const DeviceArray& array) {
  const DeviceArray sum = DeviceArray::allocate(DType("<u8"), {1}, array.device);
  sum.fill(std::byte{0});
  const os_cuda::Device& device = os_cuda::device(array.device);
  {
    const os_cuda::Current current(device);
    ChecksumPlan plan{array.data, array.nbytes() / 8, sum.data};
    std::array<void*, 1> arguments = {&plan};
    os_cuda::check(
        os_cuda::driver().launch(checksum_kernel(), 64, 1, 1, 256, 1, 1, 0, device.stream(), arguments.data(), nullptr),
        "start the CUDA kernel of the tests");
  }
  array.used_on(device.stream());
  std::uint64_t found = 0;
  sum.copy_to_host(&found);
  return found;
}

TEST_CASE_FIXTURE(CudaTest, "a CUDA kernel of another process reads what crossed, in place and in a copy") {
  Consumer keeper(name(), {{.capacity = 65536}});
  Child exporter([&] {
    Producer tx(name());
    Exporter gpu(tx);
    for (std::uint64_t i = 0; i < 4; ++i) {
      const DeviceArray array = DeviceArray::allocate(DType("<u8"), {kWords});
      array.copy_from_host(words_of(i).data());
      give(gpu.push(array, shmlane::cuda::legacy_stream()));
    }
    expect(gpu.wait_consumed(30s), "not consumed");
  });
  Child importer([&] {
    Consumer rx(name());
    Importer gpu(rx);
    for (std::uint64_t i = 0; i < 4; ++i) {
      auto lease = rx.acquire(30s);
      const DeviceArray array = i % 2 == 0 ? gpu.view(std::move(*lease)) : gpu.copy(*lease);
      expect(on_device_sum(array) == on_host_sum(words_of(i)), "other items");
    }
  });
  CHECK(importer.join() == "");
  CHECK(exporter.join() == "");
  keeper.close();
}
#else
TEST_CASE("a CUDA kernel of another process reads what crossed") { MESSAGE("SKIPPED: built without nvcc"); }
#endif

TEST_CASE("a checksum tells of a word that is changed, missing, or at another place") {
  std::vector<std::uint64_t> words = words_of(1);
  const std::uint64_t right = on_host_sum(words);
  std::swap(words[5], words[6]);
  CHECK(on_host_sum(words) != right);
  std::swap(words[5], words[6]);
  words[7] ^= std::uint64_t{1} << 63;
  CHECK(on_host_sum(words) != right);
  words[7] = 0;
  CHECK(on_host_sum(words) != right);
}

}  // namespace
