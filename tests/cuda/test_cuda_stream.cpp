// SPDX-License-Identifier: Apache-2.0
// Streams on a GPU, in C++.
#include "shmlane/cuda_stream.hpp"

#include <unistd.h>

#include <csignal>

#include "world.hpp"

namespace {

using namespace cuda_tests;
using shmlane::NdView;
using shmlane::Stream;
using shmlane::cuda::GpuStream;

const Dims kShape = {20, 30};
constexpr std::size_t kItems = 600;

GpuStream open_soon(const std::string& name) {
  for (;;) {
    try {
      return GpuStream::open(name);
    } catch (const shmlane::NotFound&) {
      std::this_thread::sleep_for(1ms);
    }
  }
}

TEST_CASE_FIXTURE(CudaTest, "values go from process to process, from the host and from the GPU") {
  Stream back = Stream::create(name("back"), DType("<i8"), {});
  Child creator([&] {
    GpuStream stream = GpuStream::create(name(), DType("<f4"), kShape);
    Stream answers = Stream::open(name("back"));
    expect(on_host(stream.read()) == std::vector<float>(kItems), "not zeros at first");
    for (int i = 1; i <= 10; ++i) {
      const auto items = pattern(kItems, static_cast<float>(i));
      const auto count = i % 2 == 0 ? stream.write(on_device(items, kShape)) : stream.write(NdView::of(items, kShape));
      expect(count == static_cast<std::uint64_t>(i), "another count");
      expect(answers.wait_after(static_cast<std::uint64_t>(i - 1), 30s), "no answer");
    }
    stream.stream().unlink();
  });
  Child reader([&] {
    GpuStream stream = open_soon(name());
    Stream answers = Stream::open(name("back"));
    expect(stream.shape() == kShape && stream.dtype() == DType("<f4") && !stream.cpu_mirror(), "another kind");
    for (int i = 1; i <= 10; ++i) {
      expect(stream.wait_after(static_cast<std::uint64_t>(i - 1), 30s), "nothing came");
      expect(on_host(stream.read()) == pattern(kItems, static_cast<float>(i)), "other items");
      answers.write(std::vector<std::int64_t>{i});
    }
  });
  CHECK(creator.join() == "");
  CHECK(reader.join() == "");
  back.unlink();
}

TEST_CASE_FIXTURE(CudaTest, "a mirror is read without a GPU, and outlives the creator, whose memory does not") {
  Child creator([&] {
    GpuStream stream = GpuStream::create(name(), DType("<f4"), kShape, {{}, 0, true});
    stream.write(on_device(pattern(kItems, 5), kShape));
    ::pause();
  });
  Stream watching = [&] {
    for (;;) {
      try {
        return Stream::open(name());
      } catch (const shmlane::NotFound&) {
        std::this_thread::sleep_for(1ms);
      }
    }
  }();
  CHECK(watching.wait_after(1, 30s));
  const std::string pid = std::to_string(creator.pid());
  const auto looks = [&](bool creator_lives) {
    return processes::run_in_child([&] {
      if (creator_lives) ::setenv("SHMLANE_CUDA_DRIVER", "/nowhere", 1);
      GpuStream stream = GpuStream::open(name());
      std::vector<float> items(kItems);
      stream.read(std::as_writable_bytes(std::span(items)));
      expect(items == pattern(kItems, 5) && stream.count() == 1, "other items");
      if (creator_lives) return expect_error<shmlane::NoDevice>("/nowhere", [&] { (void)stream.read(); });
      expect_error<shmlane::ExporterGone>("process " + pid + ",", [&] { (void)stream.read(); });
    });
  };
  if (on_standin()) CHECK(looks(true) == "");
  creator.kill();
  CHECK(looks(false) == "");
  watching.unlink();
}

TEST_CASE_FIXTURE(CudaTest, "what is no stream on a GPU, or cannot be one, is refused and leaves nothing behind") {
  CHECK(processes::run_in_child([&] {
          Stream host = Stream::create(name(), DType("<f4"), {3});
          expect_error<shmlane::InvalidArgument>("host's memory", [&] { (void)GpuStream::open(name()); });
          host.unlink();
          expect_error<shmlane::UnsupportedType>("float16",
                                                 [&] { (void)GpuStream::create(name(), DType("<c8"), {3}); });
          expect_error<shmlane::NoDevice>("there is no cuda:9", [&] {
            (void)GpuStream::create(name(), DType("<f4"), {3}, {{}, 9});
          });
          GpuStream stream = GpuStream::create(name(), DType("<f4"), {3});
          const std::vector<float> four = pattern(4);
          expect_error<shmlane::InvalidArgument>("shape", [&] { stream.write(NdView::of(four)); });
          expect_error<shmlane::InvalidArgument>("shape", [&] { stream.write(on_device(four, {4})); });
          expect(stream.count() == 0, "something was written");
          stream.stream().unlink();
        }) == "");
}

TEST_CASE_FIXTURE(CudaTest, "an array of any strides on another GPU is gathered where it lies, then copied") {
  CHECK(processes::run_in_child([&] {
          if (shmlane::cuda::devices().size() < 2) return;
          DeviceArray there = on_device(pattern(12), {3, 4}, 1);
          there.shape = {4, 3};
          there.strides = {4, 16};
          const DeviceArray here = DeviceArray::allocate(DType("<f4"), {4, 3}, 0);
          const std::vector<float> turned = {0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11};
          shmlane::cuda::copy(there, here);
          expect(on_host(here) == turned, "other items");
          here.fill(std::byte{0});
          shmlane::cuda::copy(there, here, shmlane::cuda::legacy_stream());
          expect(on_host(here) == turned, "other items by a CUDA stream");
        }) == "");
}

}  // namespace
