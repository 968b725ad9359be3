// SPDX-License-Identifier: Apache-2.0
// Exporters and importers that die at every named step: the others get every array whole, or an error that says why not.
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <set>
#include <string_view>

#include "../world.hpp"
#include "crash_point.hpp"

namespace {

using namespace cuda_tests;

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
         name == "ring.acquire.lease" || name == "ring.release";
}

void note(const char* name) noexcept {
  if (!matters(name)) return;
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

void kill_everywhere(CudaTest& test, const char* what, bool exporter_dies) {
  processes::Shared<Board> shared;
  board = &*shared;
  const auto scene = [&](const std::string& name, shmlane::CrashObserver observer) {
    Child other([&] {
      if (!exporter_dies) return export_all(name);
      const std::multiset<int> came = import_all(name);
      for (int i = 0; i < kArrays; ++i) expect(came.count(i) <= 1, "an array came twice");
    });
    bool died = false;
    if (exporter_dies) {
      died = run_victim([&] { export_all(name); }, observer);
    } else {
      died = run_victim([&] { (void)import_all(name); }, observer);
      if (died) {
        Child heir([&] { (void)import_all(name); });
        CHECK(heir.join() == "");
      }
    }
    CHECK(other.join() == "");
    return died;
  };
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
  kill_everywhere(*this, "exporters", true);
}

TEST_CASE_FIXTURE(CudaTest, "wherever an importer dies, another one gets what it held, and the exporter its memory") {
  kill_everywhere(*this, "importers", false);
}

}  // namespace
