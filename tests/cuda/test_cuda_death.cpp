// SPDX-License-Identifier: Apache-2.0
// Deaths and refusals around arrays of GPUs: everybody else goes on, or gets an error that says why not.
#include <unistd.h>

#include <csignal>
#include <optional>
#include <vector>

#include "world.hpp"

namespace {

using namespace cuda_tests;
using processes::wait_until;

std::uint64_t waiting(const std::string& name) {
  try {
    return shmlane::Consumer(name).size();
  } catch (const shmlane::Error&) {
    return 0;
  }
}

// Pushes `count` arrays, then stays until it is killed.
Child lasting_exporter(const std::string& name, int count) {
  return Child([=] {
    Producer tx(name, {{.capacity = 65536}, shmlane::Policy::kBlock, shmlane::forever});
    Exporter gpu(tx);
    for (int i = 0; i < count; ++i) give(gpu.push(on_device(pattern(100, static_cast<float>(i)), {100}), nullptr));
    ::pause();
  });
}

TEST_CASE_FIXTURE(CudaTest, "the death of an exporter is an error that names it, and the queue goes on") {
  Consumer keeper(name(), {{.capacity = 65536}});
  Child exporter = lasting_exporter(name(), 2);
  wait_until([&] { return keeper.size() == 2; });
  const std::string pid = std::to_string(exporter.pid());
  exporter.kill();
  Child importer([&] {
    Consumer rx(name());
    Importer gpu(rx);
    for (int i = 0; i < 2; ++i) {
      auto lease = rx.acquire(30s);
      expect_error<shmlane::ExporterGone>("process " + pid, [&] { (void)gpu.copy(*lease); });
    }
    expect(rx.acquire(30s).ended(), "the frames are still there");
    expect(has(0, "mappings"), "something is open");
  });
  CHECK(importer.join() == "");
  keeper.close();
}

TEST_CASE_FIXTURE(CudaTest, "an exporter that dies before its GPU has filled the array keeps nobody waiting") {
  Consumer keeper(name(), {{.capacity = 65536}});
  Child exporter([&] {
    Producer tx(name(), {{.capacity = 65536}});
    Exporter gpu(tx);
    const DeviceArray array = on_device(pattern(100), {100});
    ::setenv("SHMLANE_STANDIN_DELAY_US", "60000000", 1);
    give(gpu.push(array, shmlane::cuda::legacy_stream()));
    ::pause();
  });
  wait_until([&] { return keeper.size() == 1; });
  Child importer([&] {
    Consumer rx(name());
    Importer gpu(rx);
    auto lease = rx.acquire(30s);
    expect_error<shmlane::ExporterGone>("is gone", [&] { (void)gpu.copy(*lease); });
  });
  wait_until([&] { return keeper.size() == 0; });
  exporter.kill();
  CHECK(importer.join() == "");
  keeper.close();
}

TEST_CASE_FIXTURE(CudaTest, "what a dead importer held is delivered again, whole") {
  Child exporter([&] {
    Producer tx(name(), {{.capacity = 65536}});
    Exporter gpu(tx, {.capacity = 2 << 20});
    for (int i = 0; i < 8; ++i) {
      give(gpu.push(on_device(pattern(1 << 18, static_cast<float>(i)), {1 << 18}), nullptr, 30s));
    }
    expect(gpu.wait_consumed(30s), "not consumed");
  });
  Consumer keeper(name());
  Child victim([&] {
    Consumer rx(name());
    Importer gpu(rx);
    auto lease = rx.acquire(30s);
    const DeviceArray view = gpu.view(std::move(*lease));
    ::raise(SIGKILL);
  });
  CHECK_FALSE(victim.join().empty());
  Child importer([&] {
    Consumer rx(name());
    Importer gpu(rx);
    for (int i = 0; i < 8; ++i) {
      auto lease = rx.acquire(30s);
      expect(static_cast<bool>(lease), "an array is lost");
      expect(lease->attempt() == (i == 0 ? 1 : 0), "not the one that was held");
      expect(on_host(gpu.copy(*lease)) == pattern(1 << 18, static_cast<float>(i)), "other items");
    }
  });
  CHECK(importer.join() == "");
  CHECK(exporter.join() == "");
  keeper.close();
}

TEST_CASE_FIXTURE(CudaTest,
                  "an exporter that closes is there until its arrays are consumed, and then leaves the queue") {
  Consumer keeper(name(), {{.capacity = 65536}});
  Child exporter([&] {
    {
      Producer tx(name());
      Exporter gpu(tx);
      give(gpu.push(on_device(pattern(100), {100}), nullptr));
    }
    wait_until([&] { return keeper.stat().used == 0; });
    Producer other(name() + "2", {{.capacity = 65536}, shmlane::Policy::kBlock, shmlane::forever});
    Exporter next(other);
    (void)next.reserve(0, 1);
    Consumer end(name() + "2");
  });
  Child importer([&] {
    Consumer rx(name());
    Importer gpu(rx);
    auto lease = rx.acquire(30s);
    expect(on_host(gpu.copy(*lease)) == pattern(100), "other items");
    lease->release();
    expect(rx.acquire(30s).ended(), "a handle that is kept for its memory keeps the stream open");
  });
  CHECK(importer.join() == "");
  CHECK(exporter.join() == "");
  keeper.close();
}

TEST_CASE_FIXTURE(CudaTest, "what is missing is said: no driver, no device, one too old, or one that cannot start") {
  NEEDS_STANDIN();
  const auto told = [](const char* variable, const char* value, const std::string& part) {
    return processes::run_in_child([&] {
      ::setenv(variable, value, 1);
      const std::string why = shmlane::cuda::why_unavailable();
      expect(why.find(part) != std::string::npos, "it says: " + why);
      expect_error<shmlane::NoDevice>(part, [] { (void)shmlane::cuda::devices(); });
    });
  };
  CHECK(told("SHMLANE_CUDA_DRIVER", "/nowhere/libcuda.so.1", "install NVIDIA's driver") == "");
  CHECK(told("SHMLANE_CUDA_DRIVER", "libm.so.6", "too old: it lacks cuInit") == "");
  CHECK(told("SHMLANE_STANDIN_VISIBLE", "", "sees no device") == "");
  CHECK(told("SHMLANE_STANDIN_INIT", "34", "stub") == "");
  CHECK(told("SHMLANE_STANDIN_INIT", "999", "cannot start") == "");
}

TEST_CASE_FIXTURE(CudaTest, "a forked child of a process that used the GPU is told what to do") {
  CHECK(processes::run_in_child([] {
          (void)shmlane::cuda::devices();
          const std::string told = processes::run_in_child(
              [] { expect_error<shmlane::NoDevice>("spawn or forkserver", [] { (void)shmlane::cuda::devices(); }); });
          expect(told.empty(), told);
        }) == "");
}

TEST_CASE_FIXTURE(CudaTest, "a forked child of a process where another library used the GPU is told the same") {
  NEEDS_STANDIN();
  CHECK(processes::run_in_child([] {
          void* const library = ::dlopen(std::getenv("SHMLANE_CUDA_DRIVER"), RTLD_NOW);
          reinterpret_cast<int (*)(unsigned)>(::dlsym(library, "cuInit"))(0);
          const std::string told = processes::run_in_child(
              [] { expect_error<shmlane::NoDevice>("spawn or forkserver", [] { (void)shmlane::cuda::devices(); }); });
          expect(told.empty(), told);
        }) == "");
}

TEST_CASE_FIXTURE(CudaTest, "a device that has failed ends nobody's process") {
  NEEDS_STANDIN();
  CHECK(processes::run_in_child([&] {
          Consumer rx(name());
          Producer tx(name(), {{.capacity = 65536}});
          Exporter gpu(tx);
          for (int i = 0; i < 3; ++i) give(gpu.push(on_device(pattern(100), {100}), nullptr));
          for (int i = 0; i < 3; ++i) rx.acquire(30s)->release();
          ::setenv("SHMLANE_STANDIN_QUERY", "700", 1);
          expect_error<shmlane::DeviceFailed>("", [&] {
            give(gpu.push(on_device(pattern(100), {100}), nullptr));
            (void)Importer(rx).copy(*rx.acquire(30s));
          });
          expect(gpu.wait_consumed(0s), "what a device that failed was to fill is waited for");
        }) == "");
}

TEST_CASE_FIXTURE(CudaTest, "memory that cannot be shared is refused where it is exported, with the reason") {
  NEEDS_STANDIN();
  CHECK(processes::run_in_child([&] {
          ::setenv("SHMLANE_CUDA_MEMORY", "ipc", 1);
          ::setenv("SHMLANE_STANDIN_IPC_GET", "801", 1);
          Consumer rx(name());
          Producer tx(name(), {{.capacity = 65536}});
          Exporter gpu(tx);
          expect_error<shmlane::DeviceFailed>("does not share", [&] { (void)gpu.reserve(0, 100); });
          expect(has(0, "pieces"), "the memory is lost");
        }) == "");
}

TEST_CASE_FIXTURE(CudaTest, "a consumer that may not open the memory, or does not see the device, is told why") {
  NEEDS_STANDIN();
  Consumer keeper(name(), {{.capacity = 65536}});
  Child exporter = lasting_exporter(name(), 2);
  wait_until([&] { return keeper.size() == 2; });
  const auto refused = [&]<class E>(const std::vector<const char*>& variables, const std::string& part, const E*) {
    return processes::run_in_child([&] {
      for (const char* each : variables) ::setenv(each, "1", 1);
      Consumer rx(name());
      Importer gpu(rx);
      auto lease = rx.acquire(30s);
      expect_error<E>(part, [&] { (void)gpu.copy(*lease); });
    });
  };
  CHECK(refused({"SHMLANE_STANDIN_IPC_OPEN", "SHMLANE_STANDIN_IMPORT"}, "the GPU failed to ",
                (shmlane::DeviceFailed*)nullptr) == "");
  CHECK(refused({"SHMLANE_STANDIN_VISIBLE"}, "does not see", (shmlane::NoDevice*)nullptr) == "");
  exporter.kill();
  CHECK(waiting(name()) == 0);
  keeper.close();
}

TEST_CASE_FIXTURE(CudaTest, "lies about where an array lies are Corrupt") {
  CHECK(processes::run_in_child([&] {
          Consumer rx(name());
          Producer tx(name(), {{.capacity = 65536}});
          Exporter out(tx);
          Importer in(rx);
          auto slot = out.reserve(0, 400);
          const shmlane::Json right = slot->metadata(DType("<f4"), {100});
          const auto payload = slot->payload();
          const auto told = [&](const char* key, shmlane::Json value) {
            shmlane::Json wrong = right;
            wrong[key] = std::move(value);
            expect_error<shmlane::Corrupt>("", [&] { (void)in.view(wrong, payload, nullptr); });
          };
          slot->ready(std::nullopt);
          expect(in.view(right, payload, nullptr).data == slot->data(), "the truth is refused");
          told("offset", std::uint64_t{1} << 40);
          told("bytes", std::uint64_t{1} << 62);
          told("shape", {101});
          told("shape", {-1});
          told("strides", {8});
          told("slot", 200);
          told("device", "5a");
          expect_error<shmlane::Corrupt>("two handles", [&] { (void)in.view(right, {}, nullptr); });
        }) == "");
}

}  // namespace
