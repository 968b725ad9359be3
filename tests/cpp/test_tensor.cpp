// SPDX-License-Identifier: Apache-2.0
// Tensor: a named array in shared memory, and its readers-writer lock (SPEC sections 11.1 and 11.4).
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "shmlane/inspect.hpp"
#include "shmlane/stream.hpp"
#include "shmlane/tensor.hpp"
#include "support/processes.hpp"
#include "support/raw_segment.hpp"
#include "support/shm.hpp"

namespace {

using namespace std::chrono_literals;
using processes::Child;
using processes::expect;
using shmlane::Dims;
using shmlane::DType;
using shmlane::no_wait;
using shmlane::Tensor;

const DType kInt = DType::of<std::int32_t>();

class TensorTest : public ShmTest {
 public:
  ~TensorTest() { shmlane::unlink_tensor(name("w")); }
  Tensor create(const Dims& shape = {4}) const { return Tensor::create(name("w"), kInt, shape); }
  Tensor attach() const { return Tensor::attach(name("w")); }
};

TEST_CASE_FIXTURE(TensorTest, "a tensor is one memory to all who attach to it") {
  const Tensor mine = create({2, 3});
  CHECK(std::ranges::count(mine.as<std::int32_t>(), 0) == 6);
  CHECK(processes::run_in_child([&] {
          const Tensor yours = attach();
          expect(yours.shape() == Dims{2, 3} && yours.dtype() == kInt, "the array");
          yours.as<std::int32_t>()[4] = 42;
        }) == "");
  CHECK(mine.view().at<std::int32_t>(1, 1) == 42);
  CHECK(reinterpret_cast<std::uintptr_t>(mine.bytes().data()) % 64 == 0);
}

TEST_CASE_FIXTURE(TensorTest, "a tensor made of data holds a copy of it in C order") {
  const std::array<std::int32_t, 4> items{1, 2, 3, 4};
  shmlane::NdView data = shmlane::NdView::of(items, {2, 2});
  std::swap(data.strides[0], data.strides[1]);
  const Tensor tensor = Tensor::create(name("w"), data, {.writable = false});
  CHECK(std::ranges::equal(tensor.view().as<std::int32_t>(), std::array{1, 3, 2, 4}));
}

TEST_CASE_FIXTURE(TensorTest, "a maker that dies while it copies its data leaves no tensor, and no data for the next") {
  constexpr std::size_t kPage = 4096;
  Child maker([&] {
    ::signal(SIGSEGV, SIG_DFL);
    void* const data = ::mmap(nullptr, 3 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::memset(data, 7, 3 * kPage);
    ::mprotect(static_cast<std::byte*>(data) + kPage, kPage, PROT_NONE);
    Tensor::create(name("w"), shmlane::NdView::contiguous(DType("|u1"), {3 * kPage}, data));
  });
  CHECK(maker.join() == "died of signal 11");
  CHECK_THROWS_AS(Tensor::attach(name("w")), shmlane::NotFound);
  const Tensor tensor = Tensor::create(name("w"), DType("|u1"), {3 * kPage});
  CHECK(std::ranges::count(tensor.bytes(), std::byte{0}) == 3 * kPage);
}

TEST_CASE_FIXTURE(TensorTest, "a shape or dtype that is asked for is compared with what is there") {
  const Tensor made = create({2, 2});
  CHECK_NOTHROW(Tensor::attach(name("w"), kInt, {2, 2}));
  CHECK_THROWS_WITH_AS(Tensor::attach(name("w"), kInt, {4}), doctest::Contains("<i4 (2, 2), not <i4 (4,)"),
                       shmlane::WrongType);
  CHECK_THROWS_AS(Tensor::attach(name("w"), DType::of<float>(), {2, 2}), shmlane::WrongType);
  CHECK_THROWS_AS(create(), shmlane::Exists);
  CHECK_THROWS_AS(shmlane::Stream::open(name("w")), shmlane::WrongKind);
}

TEST_CASE_FIXTURE(TensorTest, "a missing tensor is an error, and unlinking it is not") {
  CHECK_THROWS_AS(attach(), shmlane::NotFound);
  CHECK_FALSE(shmlane::unlink_tensor(name("w")));
  CHECK(files().empty());
}

TEST_CASE_FIXTURE(TensorTest, "a tensor persists until it is unlinked, and its memory outlives that") {
  CHECK(processes::run_in_child([&] { create().as<std::int32_t>()[0] = 7; }) == "");
  CHECK(std::ranges::count(shmlane::list_tensors(), name("w")) == 1);
  CHECK(std::ranges::count(shmlane::list_streams(), name("w")) == 0);
  std::optional<Tensor> tensor = attach();
  const std::shared_ptr<const void> memory = tensor->memory();
  const std::span<const std::int32_t> items = tensor->as<std::int32_t>();
  tensor->unlink();
  CHECK(files().empty());
  tensor->close();
  tensor.reset();
  CHECK(items[0] == 7);
}

TEST_CASE_FIXTURE(TensorTest, "memory that is attached to read only cannot be written") {
  const Tensor made = create();
  const std::string end = processes::run_in_child([&] {
    const Tensor mine = Tensor::attach(name("w"), {.writable = false});
    expect(!mine.writable() && mine.as<std::int32_t>()[0] == 0, "reading");
    ::signal(SIGSEGV, SIG_DFL);
    mine.as<std::int32_t>()[0] = 1;
  });
  CHECK_MESSAGE(end == "died of signal " + std::to_string(SIGSEGV), end);
}

TEST_CASE_FIXTURE(TensorTest, "many may hold the read lock, and none beside the write lock") {
  Tensor first = create();
  Tensor second = attach();
  CHECK(first.lock_shared());
  CHECK(second.lock_shared(no_wait));
  CHECK_FALSE(first.lock(10ms));
  first.unlock_shared();
  CHECK_FALSE(first.lock(10ms));
  second.unlock_shared();
  CHECK(first.lock());
  CHECK(first.lock(no_wait));
  CHECK_FALSE(second.lock_shared(10ms));
  CHECK_FALSE(second.lock(10ms));
  CHECK_THROWS_AS(first.lock_shared(), shmlane::InvalidArgument);
  first.unlock();
  CHECK_FALSE(second.lock_shared(no_wait));
  first.unlock();
  CHECK(second.lock_shared(no_wait));
  second.unlock_shared();
}

TEST_CASE_FIXTURE(TensorTest, "giving back a lock that one does not hold is an error") {
  Tensor tensor = create();
  CHECK_THROWS_AS(tensor.unlock(), shmlane::Unlocked);
  CHECK_THROWS_AS(tensor.unlock_shared(), shmlane::Unlocked);
}

TEST_CASE_FIXTURE(TensorTest, "who waits for a lock of a tensor is woken when it is given back") {
  Tensor tensor = create();
  for (const bool write : {false, true}) {
    for (const bool wait_to_write : {false, true}) {
      if (!write && !wait_to_write) continue;
      CHECK((write ? tensor.lock() : tensor.lock_shared()));
      Child waiter([&] {
        Tensor mine = attach();
        expect(wait_to_write ? mine.lock() : mine.lock_shared(), "the lock");
      });
      processes::wait_until([&] { return processes::sleeps(waiter.pid()); });
      write ? tensor.unlock() : tensor.unlock_shared();
      CHECK(waiter.join() == "");
    }
  }
}

TEST_CASE_FIXTURE(TensorTest, "the death of a reader or a writer gives its lock back") {
  Tensor tensor = create();
  for (const bool write : {false, true}) {
    std::vector<Child> holders;
    holders.emplace_back([&] {
      Tensor mine = attach();
      static_cast<void>(write ? mine.lock() : mine.lock_shared());
      std::this_thread::sleep_for(1h);
    });
    processes::wait_until([&] {
      if (tensor.lock(no_wait)) return tensor.unlock(), false;
      return true;
    });
    std::thread killer([&] {
      std::this_thread::sleep_for(30ms);
      holders[0].kill();
    });
    CHECK(tensor.lock());
    tensor.unlock();
    killer.join();
    CHECK(tensor.lock_shared());
    tensor.unlock_shared();
  }
}

TEST_CASE_FIXTURE(TensorTest, "a reader that comes after a dead writer does not wait for a living one") {
  Tensor tensor = create();
  CHECK(processes::run_in_child([&] {
          Tensor mine = attach();
          static_cast<void>(mine.lock());
          ::raise(SIGKILL);
        }) == "died of signal 9");
  CHECK(tensor.lock_shared(5s));
}

TEST_CASE_FIXTURE(TensorTest, "readers see the whole of what writers do under the lock") {
  constexpr std::size_t kItems = 512;
  Tensor tensor = create({kItems});
  std::vector<Child> children;
  for (int i = 0; i < 2; ++i) {
    children.emplace_back([&] {
      Tensor mine = attach();
      for (int k = 0; k < 300; ++k) {
        expect(mine.lock(20s), "the write lock");
        for (std::int32_t& item : mine.as<std::int32_t>()) ++item;
        mine.unlock();
      }
    });
    children.emplace_back([&] {
      Tensor mine = attach();
      for (int k = 0; k < 300; ++k) {
        expect(mine.lock_shared(20s), "the read lock");
        const auto items = mine.as<std::int32_t>();
        expect(std::ranges::count(items, items[0]) == std::ssize(items), "half a write");
        mine.unlock_shared();
      }
    });
  }
  CHECK(processes::join_all(children) == "");
  CHECK(tensor.as<std::int32_t>()[0] == 600);
}

TEST_CASE_FIXTURE(TensorTest, "what is scribbled into an array's header is found, and nothing crashes") {
  const auto spoilt = [&](const char* what, auto&& spoil) {
    const Tensor made = create({2, 3});
    spoil(raw::Segment(name("w")));
    CHECK_THROWS_AS_MESSAGE(static_cast<void>(attach()), shmlane::Corrupt, what);
    CHECK_THROWS_AS(static_cast<void>(shmlane::inspect_segment(name("w"))), shmlane::Corrupt);
    shmlane::remove_segment(name("w"), true);
  };
  spoilt("nbytes", [](const raw::Segment& s) { s.array().nbytes = 1 << 20; });
  spoilt("slot_size", [](const raw::Segment& s) { s.array().slot_size = 1 << 20; });
  spoilt("slots", [](const raw::Segment& s) { s.array().slots = 2; });
  spoilt("dimensions", [](const raw::Segment& s) { s.array().dimensions = 65; });
  spoilt("itemsize", [](const raw::Segment& s) { s.array().itemsize = 8; });
  spoilt("dtype_size", [](const raw::Segment& s) { s.array().dtype_size = 4000; });
  spoilt("dtype", [](const raw::Segment& s) { s.array().dtype[0] = '['; });
  spoilt("shape", [](const raw::Segment& s) { s.array().shape[0] = ~std::uint64_t{0}; });
  spoilt("shape and nbytes", [](const raw::Segment& s) {
    s.array().shape[0] = 1 << 20;
    s.array().nbytes = s.array().slot_size = 12ULL << 20;
  });
}

}  // namespace
