// SPDX-License-Identifier: Apache-2.0
// The C++ end of tests in Python. `worker queue SOURCE TARGET` sends back what comes, `worker stream NAME` adds 1 to each
// item of a stream of float32.
#include <chrono>
#include <cstdio>
#include <string_view>
#include <vector>

#include "shmlane/cuda_stream.hpp"
#include "shmlane/error.hpp"

namespace {

using namespace std::chrono_literals;

bool echo(const char* source, const char* target) {
  shmlane::Consumer rx(source);
  shmlane::Producer tx(target, {{.capacity = 65536}});
  shmlane::cuda::Importer in(rx);
  shmlane::cuda::Exporter out(tx);
  for (int i = 0; auto lease = rx.acquire(60s); ++i) {
    const auto array = i % 2 == 0 ? in.copy(*lease) : in.view(std::move(*lease));
    if (out.push(array, shmlane::cuda::legacy_stream(), 60s) != shmlane::PushResult::kPushed) return false;
  }
  return out.wait_consumed(60s);
}

bool add_one(const char* name) {
  auto stream = shmlane::cuda::GpuStream::open(name);
  std::vector<float> items(stream.read().nbytes() / sizeof(float));
  stream.read(std::as_writable_bytes(std::span(items)));
  for (float& item : items) item += 1;
  return stream.write(shmlane::NdView::of(items, stream.shape())).has_value();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc < 2 ? "" : argv[1];
  try {
    if (what == "queue" && argc == 4) return echo(argv[2], argv[3]) ? 0 : 1;
    if (what == "stream" && argc == 3) return add_one(argv[2]) ? 0 : 1;
  } catch (const shmlane::Error& error) {
    std::fprintf(stderr, "worker: %s\n", error.what());
    return 1;
  }
  return 2;
}
