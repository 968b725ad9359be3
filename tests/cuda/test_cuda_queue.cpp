// SPDX-License-Identifier: Apache-2.0
// Arrays of GPUs through queues: copies, views in place, strides, and what goes on while a GPU is slow.
#include "world.hpp"

namespace {

using namespace cuda_tests;

constexpr std::size_t kItems = 6 * 1000;

TEST_CASE_FIXTURE(CudaTest, "an array crosses to another process, as a copy and in place") {
  Child exporter([&] {
    Producer tx(name(), {{.capacity = 65536}});
    Exporter gpu(tx);
    for (int i = 0; i < 4; ++i) {
      give(gpu.push(on_device(pattern(kItems, static_cast<float>(i)), {6, 1000}), nullptr));
    }
    expect(gpu.wait_consumed(30s), "not consumed");
    shmlane::cuda::synchronise(0, shmlane::cuda::own_stream(0));  // on which memory is given back
    expect(has(1, "pieces"), "more is left than the arena");
  });
  Child importer([&] {
    Consumer rx(name());
    Importer gpu(rx);
    for (int i = 0; i < 4; ++i) {
      auto lease = rx.acquire(30s);
      expect(static_cast<bool>(lease), "nothing came");
      const DeviceArray array = i % 2 == 0 ? gpu.copy(*lease) : gpu.view(std::move(*lease));
      expect(array.shape == Dims{6, 1000} && array.dtype == DType("<f4"), "another shape or dtype");
      expect(on_host(array) == pattern(kItems, static_cast<float>(i)), "other items");
    }
    expect(has(1, "mappings"), "the arena is not open exactly once");
  });
  CHECK(exporter.join() == "");
  CHECK(importer.join() == "");
}

TEST_CASE_FIXTURE(CudaTest, "an array crosses within its process without being opened there") {
  Child child([&] {
    Consumer rx(name());
    Producer tx(name(), {{.capacity = 65536}});
    Exporter out(tx);
    Importer in(rx);
    give(out.push(on_device(pattern(10), {10}), nullptr));
    auto lease = rx.acquire(1s);
    const DeviceArray view = in.view(std::move(*lease));
    expect(on_host(view) == pattern(10), "other items");
    expect(has(0, "mappings"), "the exporter opened its own memory");
  });
  CHECK(child.join() == "");
}

TEST_CASE_FIXTURE(CudaTest, "an array of any strides arrives in C order") {
  Child child([&] {
    Consumer rx(name());
    Producer tx(name(), {{.capacity = 65536}});
    Exporter out(tx);
    Importer in(rx);
    const std::vector<float> items = pattern(24);
    const DeviceArray array = on_device(items, {2, 3, 4});
    DeviceView turned = array;
    turned.shape = {4, 2};
    turned.strides = {-4, 48};
    turned.data += 3 * 4 + 16;  // [:, 1, ::-1], transposed
    give(out.push(turned, nullptr));
    auto lease = rx.acquire(1s);
    expect(on_host(in.copy(*lease)) == std::vector<float>{7, 19, 6, 18, 5, 17, 4, 16}, "other items");
  });
  CHECK(child.join() == "");
}

TEST_CASE_FIXTURE(CudaTest, "what is reserved and filled in place crosses without a copy") {
  Child exporter([&] {
    Producer tx(name(), {{.capacity = 65536}});
    Exporter gpu(tx);
    auto slot = gpu.reserve(0, 4000);
    DeviceArray array({.dtype = DType("<f4"), .shape = {1000}, .strides = {4}, .data = slot->data(), .device = 0}, {});
    array.copy_from_host(pattern(1000).data());
    const std::uintptr_t place = slot->data();
    slot->ready(std::nullopt);
    give(gpu.push(*std::move(slot), DType("<f4"), {1000}));
    expect(gpu.wait_consumed(30s), "not consumed");
    expect(gpu.reserve(0, 4000)->data() == place, "the place is not used again");
  });
  Child importer([&] {
    Consumer rx(name());
    Importer gpu(rx);
    auto lease = rx.acquire(30s);
    expect(on_host(gpu.copy(*lease)) == pattern(1000), "other items");
  });
  CHECK(exporter.join() == "");
  CHECK(importer.join() == "");
}

TEST_CASE_FIXTURE(CudaTest, "a consumer waits until a slow GPU has filled the array") {
  Child exporter([&] {
    ::setenv("SHMLANE_STANDIN_DELAY_US", "150000", 1);
    Producer tx(name(), {{.capacity = 65536}});
    Exporter gpu(tx);
    const DeviceArray array = on_device(pattern(100), {100});
    give(gpu.push(array, shmlane::cuda::legacy_stream()));
    expect(gpu.wait_consumed(30s), "not consumed");
  });
  Child importer([&] {
    Consumer rx(name());
    Importer gpu(rx);
    auto lease = rx.acquire(30s);
    expect(on_host(gpu.copy(*lease)) == pattern(100), "taken before it was filled");
  });
  CHECK(exporter.join() == "");
  CHECK(importer.join() == "");
}

TEST_CASE_FIXTURE(CudaTest, "a view in place gives its frame back only after the work that was named") {
  Child child([&] {
    ::setenv("SHMLANE_STANDIN_DELAY_US", "100000", 1);
    Consumer rx(name());
    Producer tx(name(), {{.capacity = 65536}});
    Exporter out(tx);
    Importer in(rx);
    const DeviceArray target = DeviceArray::allocate(DType("<f4"), {100});
    give(out.push(on_device(pattern(100), {100}), nullptr));
    {
      auto lease = rx.acquire(5s);
      const DeviceArray view = in.view(std::move(*lease));
      shmlane::cuda::copy(view, target, shmlane::cuda::legacy_stream());
      view.used_on(shmlane::cuda::legacy_stream());
      expect(!out.wait_consumed(0s), "the frame was given back while a view of it lives");
    }
    expect(out.wait_consumed(0s), "the frame was not given back");
    expect(on_host(target) == pattern(100), "the work was not over");
  });
  CHECK(child.join() == "");
}

TEST_CASE_FIXTURE(CudaTest, "an arena of a fixed capacity makes the next push wait, and refuses what never fits") {
  Child child([&] {
    Consumer rx(name());
    Producer tx(name(), {{.capacity = 65536}});
    Exporter out(tx, {.capacity = 2 << 20});
    const DeviceArray array = on_device(pattern(1 << 18), {1 << 18});
    give(out.push(array, nullptr));
    give(out.push(array, nullptr));
    expect(out.push(array, nullptr, 0s) == PushResult::kFull, "there was room");
    expect(out.push(array, nullptr, 20ms) == PushResult::kFull, "there was room");
    auto first = rx.acquire(1s);
    expect(out.push(array, nullptr, 0s) == PushResult::kFull, "a leased array was overwritten");
    first->release();
    give(out.push(array, nullptr, 5s));
    expect_error<shmlane::TooLarge>("can never fit", [&] { (void)out.reserve(0, 3 << 20); });
    while (rx.try_acquire()) {
    }
  });
  CHECK(child.join() == "");
}

TEST_CASE_FIXTURE(CudaTest,
                  "an arena grows with the arrays, and is used again by the queue's next exporter, or freed") {
  Child child([&] {
    Consumer rx(name());
    Producer tx(name(), {{.capacity = 65536}});
    std::uintptr_t place = 0;
    for (int i = 0; i < 3; ++i) {
      Exporter out(tx);
      auto small = out.reserve(0, 100);
      if (i == 0) place = small->data();
      if (legacy_memory()) expect(small->data() == place, "another arena");
      auto large = out.reserve(0, std::uint64_t{200} << 20);
      expect(large.has_value() && has(2, "pieces"), "no larger arena, or too many");
    }
    shmlane::cuda::free_unused();
    expect(has(0, "pieces") && has(0, "events"), "exported memory is kept though nobody wants it");
  });
  CHECK(child.join() == "");
}

TEST_CASE_FIXTURE(CudaTest, "arrays of two devices cross side by side") {
  NEEDS_STANDIN();
  Child exporter([&] {
    Producer tx(name(), {{.capacity = 65536}});
    Exporter gpu(tx);
    give(gpu.push(on_device(pattern(10, 1), {10}, 0), nullptr));
    give(gpu.push(on_device(pattern(10, 2), {10}, 1), nullptr));
    expect(gpu.wait_consumed(30s), "not consumed");
  });
  Child importer([&] {
    ::setenv("SHMLANE_STANDIN_VISIBLE", "1 0", 1);  // the other way round
    Consumer rx(name());
    Importer gpu(rx);
    for (int i = 1; i <= 2; ++i) {
      auto lease = rx.acquire(30s);
      const DeviceArray array = gpu.copy(*lease);
      expect(array.device == 2 - i, "on another device");
      expect(on_host(array) == pattern(10, static_cast<float>(i)), "other items");
    }
  });
  CHECK(exporter.join() == "");
  CHECK(importer.join() == "");
}

TEST_CASE_FIXTURE(CudaTest, "an array without items, or without dimensions, crosses like any other") {
  Child child([&] {
    Consumer rx(name());
    Producer tx(name(), {{.capacity = 65536}});
    Exporter out(tx);
    Importer in(rx);
    give(out.push(DeviceView::contiguous(DType("<f4"), {0, 5}, 0, 0), nullptr));
    give(out.push(on_device({42}, {}), nullptr));
    auto empty = rx.acquire(1s);
    expect(in.copy(*empty).shape == Dims{0, 5}, "another shape");
    auto single = rx.acquire(1s);
    expect(on_host(in.copy(*single)) == std::vector<float>{42}, "another item");
    empty->release();
    single->release();
  });
  CHECK(child.join() == "");
}

}  // namespace
