// SPDX-License-Identifier: Apache-2.0
// Writes objects to standard output, for a pipe: stdio_producer | python examples/stdio_consumer.py
#include <array>
#include <iostream>

#include "shmlane/codecs.hpp"
#include "shmlane/error.hpp"
#include "shmlane/ndarray.hpp"
#include "shmlane/stdio.hpp"

int main() try {
  shmlane::StdioProducer tx;
  tx.push("some text");
  tx.push(shmlane::Json{{"primes", {2, 3, 5, 7}}});
  const std::array<double, 6> items{1, 2, 3, 4, 5, 6};
  tx.push(shmlane::NdView::of(items, {2, 3}));
  tx.close();  // writes the end of stream; an error there is an error, too
} catch (const shmlane::BrokenPipe&) {
  return 0;  // the reader has seen enough
} catch (const shmlane::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
