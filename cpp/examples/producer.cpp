// SPDX-License-Identifier: Apache-2.0
// Puts text, JSON and arrays into the queue "numbers", for any consumer of any language.
#include <iostream>
#include <numeric>
#include <vector>

#include "shmlane/codecs.hpp"
#include "shmlane/error.hpp"
#include "shmlane/ndarray.hpp"
#include "shmlane/queue.hpp"

int main() try {
  shmlane::Producer tx("numbers");
  tx.push("five arrays follow");
  for (int i = 1; i <= 5; ++i) {
    std::vector<float> items(static_cast<std::size_t>(i) * 100);
    std::iota(items.begin(), items.end(), 0.0F);
    tx.push(shmlane::NdView::of(items, {i, 100}));
    tx.push(shmlane::Json{{"array", i}, {"sum", std::accumulate(items.begin(), items.end(), 0.0)}});
  }
} catch (const shmlane::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
