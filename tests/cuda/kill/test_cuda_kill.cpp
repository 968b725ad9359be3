// SPDX-License-Identifier: Apache-2.0
// Exporters, importers, writers and creators of streams that die at every named step: the others get every array whole, or
// an error that says why not.
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <functional>
#include <mutex>
#include <set>
#include <string_view>

#include "../world.hpp"
#include "crash_point.hpp"
#include "shmlane/cuda_stream.hpp"

namespace {

using namespace cuda_tests;
using shmlane::cuda::GpuStream;

constexpr std::size_t kItems = 1000;
constexpr int kArrays = 3;

struct Board {  // shared with the children
  char steps[64][48];
  int passes[64];
  int count;
};
Board* board = nullptr;
const char* fatal = nullptr;
int left = 0;

// The steps of the queue itself are died at in tests/kill; here those around which memory of a GPU changes hands.
bool matters(std::string_view name) noexcept {
  return name.starts_with("cuda.") || name == "ring.reserve.head" || name == "ring.commit" ||
         name == "ring.acquire.lease" || name == "ring.release" || name.starts_with("stream.");
}

void note(const char* name) noexcept {
  if (!matters(name)) return;
  static std::mutex mutex;  // the thread that hands over passes steps, too
  const std::lock_guard guard(mutex);
  int i = 0;
  while (i < board->count && std::strcmp(board->steps[i], name) != 0) ++i;
  if (i == 64) return;
  if (i == board->count) std::strncpy(board->steps[board->count++], name, sizeof board->steps[0] - 1);
  ++board->passes[i];
}

void die(const char* name) noexcept {
  if (std::strcmp(name, fatal) == 0 && --left == 0) ::raise(SIGKILL);
}

void export_all(const std::string& name) {
  Producer tx(name, {{.capacity = 65536}, shmlane::Policy::kBlock, shmlane::forever});
  Exporter gpu(tx);
  for (int i = 0; i < kArrays; ++i) {
    const DeviceArray array = on_device(pattern(kItems, static_cast<float>(i)), {kItems});
    give(gpu.push(array, nullptr, 30s));
  }
  expect(gpu.wait_consumed(30s), "not consumed");
}

// Takes what comes to the end; what came at all, by the first item.
std::multiset<int> import_all(const std::string& name) {
  Consumer rx(name, {{.capacity = 65536}, shmlane::wire::OnDeath::kRedeliver, 255});
  Importer gpu(rx);
  std::multiset<int> came;
  for (int i = 0; auto lease = rx.acquire(30s); ++i) {
    try {
      const DeviceArray array = i % 2 == 0 ? gpu.copy(*lease) : gpu.view(std::move(*lease));
      const std::vector<float> items = on_host(array);
      expect(items == pattern(kItems, items.at(0)), "an array is not whole");
      came.insert(static_cast<int>(items[0]));
    } catch (const shmlane::ExporterGone&) {
      came.insert(-1);
    }
  }
  return came;
}

// Runs `work` in a child that passes steps under `observer`; whether it was killed.
bool run_victim(const std::function<void()>& work, shmlane::CrashObserver observer) {
  const std::string outcome = processes::run_in_child([&] {
    shmlane::observe_crash_points(observer);
    work();
  });
  if (outcome.empty()) return false;
  CHECK(outcome == "died of signal 9");
  return true;
}

// Plays the scene once to find the steps that its victim passes, then kills it at the first and the last pass of each.
// `scene`: a name for its segment, and what the victim is to run under; whether it died.
void kill_everywhere(CudaTest& test, const char* what,
                     const std::function<bool(const std::string&, shmlane::CrashObserver)>& scene) {
  processes::Shared<Board> shared;
  board = &*shared;
  CHECK_FALSE(scene(test.name("count"), &note));
  int deaths = 0;
  for (int i = 0; i < board->count; ++i) {
    for (const int pass : std::set<int>{1, board->passes[i]}) {
      fatal = board->steps[i];
      left = pass;
      CAPTURE(std::string(fatal));
      CAPTURE(pass);
      deaths += scene(test.name(std::to_string(i) + "." + std::to_string(pass)), &die) ? 1 : 0;
    }
  }
  MESSAGE(std::string(what) << ": " << board->count << " named steps, " << deaths << " deaths survived");
  CHECK(deaths >= board->count);
}

TEST_CASE_FIXTURE(CudaTest, "wherever an exporter dies, its consumers get whole arrays or an error, and then the end") {
  kill_everywhere(*this, "exporters", [](const std::string& name, shmlane::CrashObserver observer) {
    Consumer keeper(name, {{.capacity = 65536}});  // who comes after the death finds the end
    Child other([&] {
      const std::multiset<int> came = import_all(name);
      for (int i = 0; i < kArrays; ++i) expect(came.count(i) <= 1, "an array came twice");
    });
    const bool died = run_victim([&] { export_all(name); }, observer);
    CHECK(other.join() == "");
    keeper.close();
    return died;
  });
}

TEST_CASE_FIXTURE(CudaTest, "wherever an importer dies, another one gets what it held, and the exporter its memory") {
  kill_everywhere(*this, "importers", [](const std::string& name, shmlane::CrashObserver observer) {
    Consumer keeper(name, {{.capacity = 65536}});  // who comes after the end finds the end
    Child other([&] { export_all(name); });
    const bool died = run_victim([&] { (void)import_all(name); }, observer);
    if (died) {
      Child heir([&] { (void)import_all(name); });
      CHECK(heir.join() == "");
    }
    CHECK(other.join() == "");
    keeper.close();
    return died;
  });
}

// The one item that all items of a stream's value are.
float whole_value(GpuStream& stream) {
  const std::vector<float> items = on_host(stream.read());
  expect(items == std::vector<float>(kItems, items.at(0)), "a value is not whole");
  return items[0];
}

void write_all_of(GpuStream& stream, float first) {
  for (int i = 0; i < 4; ++i) {
    const std::vector<float> items(kItems, first + static_cast<float>(i));
    if (i % 2 == 0) {
      stream.write(shmlane::NdView::of(items), 30s);
    } else {
      stream.write(on_device(items, {kItems}), 30s);
    }
  }
}

TEST_CASE_FIXTURE(CudaTest, "wherever a writer dies, the value of a stream on a GPU is whole, and others write on") {
  kill_everywhere(*this, "writers", [](const std::string& name, shmlane::CrashObserver observer) {
    shmlane::Stream go = shmlane::Stream::create(name + "-go", DType("<i8"), {});
    Child creator([&] {
      GpuStream stream = GpuStream::create(name, DType("<f4"), {kItems}, {{}, 0, true});
      shmlane::Stream waiting = shmlane::Stream::open(name + "-go");
      const std::vector<float> ones(kItems, 1);
      stream.write(shmlane::NdView::of(ones));
      expect(waiting.wait_after(0, 60s), "the writer is not over");
      const auto count = stream.count();
      const float value = whole_value(stream);
      expect(value == (count == 1 ? 1 : 8 + static_cast<float>(count)), "not the value of its count");
      write_all_of(stream, 100);
      expect(stream.count() == count + 4 && whole_value(stream) == 103, "others cannot write");
      stream.stream().unlink();
    });
    processes::wait_until([&] {
      try {
        return shmlane::Stream::open(name).count() == 2;
      } catch (const shmlane::Error&) {
        return false;
      }
    });
    const bool died = run_victim(
        [&] {
          GpuStream stream = GpuStream::open(name);
          write_all_of(stream, 10);
        },
        observer);
    go.write(std::vector<std::int64_t>{1});
    CHECK(creator.join() == "");
    go.unlink();
    return died;
  });
}

TEST_CASE_FIXTURE(CudaTest, "wherever a creator of a stream on a GPU dies, others get whole values or an error") {
  kill_everywhere(*this, "creators", [](const std::string& name, shmlane::CrashObserver observer) {
    const bool died = run_victim(
        [&] {
          GpuStream stream = GpuStream::create(name, DType("<f4"), {kItems});
          write_all_of(stream, 10);
          stream.stream().unlink();
        },
        observer);
    if (!died) return false;
    Child heir([&] {
      try {
        GpuStream stream = GpuStream::open(name);
        expect_error<shmlane::ExporterGone>("is gone", [&] { (void)stream.read(); });
        stream.stream().unlink();
      } catch (const shmlane::Corrupt& error) {
        expect(std::string(error.what()).find("before it had memory") != std::string::npos, error.what());
        shmlane::Stream::open(name).unlink();
      } catch (const shmlane::NotFound&) {
        // Not yet, or not any more.
      }
      GpuStream again = GpuStream::create(name, DType("<f4"), {kItems});
      write_all_of(again, 20);
      expect(whole_value(again) == 23, "cannot be made anew");
      again.stream().unlink();
    });
    CHECK(heir.join() == "");
    return true;
  });
}

}  // namespace
