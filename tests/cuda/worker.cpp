// SPDX-License-Identifier: Apache-2.0
// Sends back what comes, for tests of C++ and Python together: worker SOURCE TARGET.
#include <chrono>
#include <cstdio>

#include "shmlane/cuda.hpp"
#include "shmlane/error.hpp"

int main(int argc, char** argv) {
  using namespace std::chrono_literals;
  if (argc != 3) return 2;
  try {
    shmlane::Consumer rx(argv[1]);
    shmlane::Producer tx(argv[2], {{.capacity = 65536}});
    shmlane::cuda::Importer in(rx);
    shmlane::cuda::Exporter out(tx);
    for (int i = 0; auto lease = rx.acquire(60s); ++i) {
      const auto array = i % 2 == 0 ? in.copy(*lease) : in.view(std::move(*lease));
      if (out.push(array, shmlane::cuda::legacy_stream(), 60s) != shmlane::PushResult::kPushed) return 1;
    }
    return out.wait_consumed(60s) ? 0 : 1;
  } catch (const shmlane::Error& error) {
    std::fprintf(stderr, "worker: %s\n", error.what());
    return 1;
  }
}
