// SPDX-License-Identifier: Apache-2.0
// Memory of a GPU that crosses as a file descriptor: who gets it, who does not, and what takes its place.
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <thread>

#include "cuda/handover.hpp"
#include "world.hpp"

namespace {

using namespace cuda_tests;
using processes::wait_until;
using shmlane::CudaPlacement;
using shmlane::DeviceFailed;
using shmlane::cuda::ask_for;
namespace os_cuda = shmlane::os::cuda;

using Handle = CudaPlacement::Handle;

// For what only memory with a descriptor can do, which a real device may not have.
#define NEEDS_DESCRIPTORS()                                            \
  if (!on_standin() || legacy_memory()) {                              \
    MESSAGE("SKIPPED: memory is not shared as file descriptors here"); \
    return;                                                            \
  }

std::string kind_of_memory(const std::string& name) {
  Consumer rx(name);
  Producer tx(name, {{.capacity = 65536}});
  Exporter gpu(tx);
  return gpu.reserve(0, 100)->metadata(DType("<f4"), {25}).at("memory").get<std::string>();
}

// An exporter's descriptor in this process: any file's will do, as only the driver looks at it.
struct Offered {
  explicit Offered(std::uint64_t number = 7)
      : id(number), file(::dup(0)), handle(shmlane::cuda::offer(id, file, 4096)) {}
  ~Offered() { shmlane::cuda::withdraw(id); }
  Offered(const Offered&) = delete;
  Offered& operator=(const Offered&) = delete;
  std::uint64_t id;
  os_cuda::Descriptor file;
  Handle handle;
};

Handle changed(Handle handle, std::size_t at) {
  handle[at] ^= std::byte{1};
  return handle;
}

TEST_CASE("who knows the keys gets the descriptor, and nobody else") {
  const Offered one(7), other(8);
  CHECK(ask_for(7, one.handle, nullptr).size == 4096);
  CHECK(ask_for(8, other.handle, nullptr).descriptor.get() >= 0);
  const auto refused = [](std::uint64_t id, const Handle& handle, const std::string& part) {
    expect_error<DeviceFailed>(part, [&] { (void)ask_for(id, handle, nullptr); });
  };
  refused(7, other.handle, "gave no answer");
  refused(9, one.handle, "gave no answer");
  refused(7, changed(one.handle, 16), "gave no answer");
  refused(7, changed(one.handle, 32), "by somebody else");
  refused(7, changed(one.handle, 0), "does not listen");
}

TEST_CASE("the thread that hands over ends with the last offer, and its name with it") {
  Handle first{};
  {
    const Offered offered;
    first = offered.handle;
  }
  expect_error<DeviceFailed>("does not listen", [&] { (void)ask_for(7, first, nullptr); });
  const Offered again;
  CHECK(ask_for(7, again.handle, nullptr).descriptor.get() >= 0);
}

TEST_CASE("who says nothing, or too much, keeps the others waiting for no longer than a while") {
  const Offered offered;
  std::vector<os_cuda::Descriptor> strangers;
  sockaddr_storage address{};
  for (const std::size_t length : {std::size_t{0}, std::size_t{23}, std::size_t{100}}) {
    std::string name("\0\1\0shmlane.cuda.", 16);
    name[0] = AF_UNIX & 0xff;
    name[1] = AF_UNIX >> 8;
    for (std::size_t i = 0; i < 16; ++i) {
      char digits[3];
      std::snprintf(digits, sizeof digits, "%02x", std::to_integer<unsigned>(offered.handle[i]));
      name += digits;
    }
    std::memcpy(&address, name.data(), name.size());
    os_cuda::Descriptor stranger(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(stranger.get(), reinterpret_cast<sockaddr*>(&address), static_cast<socklen_t>(name.size())) == 0);
    const std::string text(length, 'x');
    if (length != 0) REQUIRE(::send(stranger.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(length));
    strangers.push_back(std::move(stranger));
  }
  CHECK(ask_for(7, offered.handle, nullptr).descriptor.get() >= 0);
}

TEST_CASE("an exporter that does not answer is waited for until the time is over, or the caller has seen enough") {
  const os_cuda::Listener silent("shmlane.test." + std::to_string(::getpid()));
  const std::string name = "shmlane.test." + std::to_string(::getpid());
  std::array<std::byte, 4> text{};
  expect_error<DeviceFailed>("does not answer", [&] { (void)os_cuda::ask(name, text, text, 150ms, nullptr); });
  int looks = 0;
  expect_error<shmlane::ExporterGone>("enough", [&] {
    (void)os_cuda::ask(name, text, text, 30s, [&] {
      if (++looks == 2) throw shmlane::ExporterGone("enough");
    });
  });
}

TEST_CASE_FIXTURE(CudaTest, "a forked child does not keep the name of an exporter that died") {
  Child exporter([&] {
    const Offered offered;
    std::FILE* const file = std::fopen(("/tmp/" + name("handle")).c_str(), "w");
    std::fwrite(offered.handle.data(), 1, offered.handle.size(), file);
    std::fclose(file);
    const pid_t child = ::fork();
    if (child == 0) ::execlp("sleep", "sleep", "30", nullptr);
    std::ofstream("/tmp/" + name("child")) << child << '\n';
    ::pause();
  });
  pid_t child = 0;
  wait_until([&] { return static_cast<bool>(std::ifstream("/tmp/" + name("child")) >> child); });
  Handle handle{};
  std::ifstream("/tmp/" + name("handle")).read(reinterpret_cast<char*>(handle.data()), handle.size());
  CHECK(ask_for(7, handle, nullptr).descriptor.get() >= 0);
  // Until its exec a child has all that its parent has.
  wait_until([&, program = std::string()]() mutable {
    return std::ifstream("/proc/" + std::to_string(child) + "/comm") >> program && program == "sleep";
  });
  exporter.kill();
  expect_error<DeviceFailed>("does not listen", [&] { (void)ask_for(7, handle, nullptr); });
  ::kill(child, SIGKILL);
  for (const char* what : {"child", "handle"}) std::filesystem::remove("/tmp/" + name(what));
}

TEST_CASE_FIXTURE(CudaTest, "who has the memory open keeps it, though its exporter dies") {
  NEEDS_DESCRIPTORS();
  Consumer keeper(name(), {{.capacity = 65536}});
  Child exporter([&] {
    Producer tx(name());
    Exporter gpu(tx);
    for (int i = 0; i < 2; ++i) give(gpu.push(on_device(pattern(100, static_cast<float>(i)), {100}), nullptr));
    ::pause();
  });
  wait_until([&] { return keeper.size() == 2; });
  Child importer([&] {
    Consumer rx(name());
    Importer gpu(rx);
    auto first = rx.acquire(30s), second = rx.acquire(30s);
    const DeviceArray view = gpu.view(std::move(*first));
    expect(on_host(gpu.copy(*second)) == pattern(100, 1), "other items");  // so it is filled
    ::kill(exporter.pid(), SIGKILL);
    expect(rx.acquire(30s).ended(), "the exporter is not gone");
    expect(on_host(view) == pattern(100), "other items");
    expect(on_host(gpu.copy(*second)) == pattern(100, 1), "other items of what came after");
  });
  CHECK(importer.join() == "");
  exporter.kill();
  keeper.close();
}

TEST_CASE_FIXTURE(CudaTest, "memory that nobody uses any more goes at once") {
  NEEDS_DESCRIPTORS();
  CHECK(processes::run_in_child([&] {
          {
            Consumer rx(name());
            Producer tx(name(), {{.capacity = 65536}});
            Exporter gpu(tx);
            give(gpu.push(on_device(pattern(100), {100}), nullptr));
            expect(on_host(Importer(rx).copy(*rx.acquire(30s))) == pattern(100), "other items");
            expect(gpu.wait_consumed(30s), "not consumed");
          }
          shmlane::cuda::synchronise(0, shmlane::cuda::own_stream(0));
          expect(has(0, "pieces"), "memory is left");
        }) == "");
}

TEST_CASE_FIXTURE(CudaTest, "the legacy handle takes the place of a descriptor that is not to be had") {
  NEEDS_STANDIN();
  const auto found = [&](const char* asked, const char* variable, const char* value) {
    return processes::run_in_child([&] {
      ::setenv("SHMLANE_CUDA_MEMORY", asked, 1);
      ::setenv(variable, value, 1);
      expect(kind_of_memory(name()) == "ipc", "no legacy handle");
    });
  };
  CHECK(found("", "SHMLANE_STANDIN_VIRTUAL", "0") == "");
  CHECK(found("", "SHMLANE_STANDIN_EXPORT", "801") == "");
  CHECK(found("ipc", "SHMLANE_STANDIN_VIRTUAL", "1") == "");
  CHECK(processes::run_in_child([&] {
          ::setenv("SHMLANE_CUDA_MEMORY", "", 1);
          expect(kind_of_memory(name()) == "fd", "not the best kind");
          ::setenv("SHMLANE_CUDA_MEMORY", "tape", 1);
          expect_error<shmlane::InvalidArgument>("only ipc and fd", [&] { (void)kind_of_memory(name("tape")); });
          ::setenv("SHMLANE_CUDA_MEMORY", "fd", 1);
          ::setenv("SHMLANE_STANDIN_EXPORT", "801", 1);
          expect_error<DeviceFailed>("file descriptor", [&] { (void)kind_of_memory(name("refused")); });
          expect(has(0, "pieces"), "the memory is lost");
        }) == "");
}

TEST_CASE_FIXTURE(CudaTest, "where events cannot be shared an array goes when it is there") {
  NEEDS_STANDIN();
  Consumer keeper(name(), {{.capacity = 65536}});
  Child exporter([&] {
    ::setenv("SHMLANE_STANDIN_IPC_EVENT", "801", 1);
    Producer tx(name());
    Exporter gpu(tx);
    const DeviceArray array = on_device(pattern(100), {100});
    ::setenv("SHMLANE_STANDIN_DELAY_US", "20000", 1);
    give(gpu.push(array, shmlane::cuda::legacy_stream()));
    expect(gpu.wait_consumed(30s), "not consumed");
  });
  Child importer([&] {
    Consumer rx(name());
    Importer gpu(rx);
    auto lease = rx.acquire(30s);
    CHECK(lease->payload()[64] == std::byte{0});
    expect(on_host(gpu.copy(*lease)) == pattern(100), "other items");
  });
  CHECK(importer.join() == "");
  CHECK(exporter.join() == "");
  keeper.close();
}

TEST_CASE_FIXTURE(CudaTest, "a lie about the size of an allocation is an error") {
  NEEDS_DESCRIPTORS();
  Consumer keeper(name(), {{.capacity = 65536}});
  Child exporter([&] {
    Producer tx(name());
    Exporter gpu(tx);
    give(gpu.push(on_device(pattern(100), {100}), nullptr));
    expect(gpu.wait_consumed(30s), "not consumed");
  });
  Child importer([&] {
    Consumer rx(name());
    Importer gpu(rx);
    auto lease = rx.acquire(30s);
    std::vector<std::byte> payload(lease->payload().begin(), lease->payload().end());
    const std::uint64_t huge = std::uint64_t{1} << 40, tiny = 64;
    std::memcpy(payload.data() + 48, &huge, sizeof huge);
    const shmlane::Json told = lease->metadata().json;
    expect_error<DeviceFailed>("map shared memory", [&] { (void)gpu.copy(told, payload); });
    std::memcpy(payload.data() + 48, &tiny, sizeof tiny);
    expect_error<DeviceFailed>("", [&] { (void)gpu.copy(told, payload); });
    expect(on_host(gpu.copy(*lease)) == pattern(100), "other items");
    expect(has(1, "mappings"), "something is left mapped");
  });
  CHECK(importer.join() == "");
  CHECK(exporter.join() == "");
  keeper.close();
}

}  // namespace
