// SPDX-License-Identifier: Apache-2.0
// Asks for a GPU, on whatever machine this is.
#include <cstdio>
#include <shmlane/cuda.hpp>

int main() {
  const std::string why = shmlane::cuda::why_unavailable();
  std::puts(why.empty() || why.find("CUDA") != std::string::npos ? "told" : why.c_str());
}
