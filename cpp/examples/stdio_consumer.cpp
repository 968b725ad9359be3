// SPDX-License-Identifier: Apache-2.0
// Describes the objects that come from standard input: python examples/stdio_producer.py | stdio_consumer
#include <iostream>

#include "shmlane/error.hpp"
#include "shmlane/stdio.hpp"

int main() try {
  shmlane::StdioConsumer rx;
  while (const auto object = rx.pop()) {  // false at the end of stream
    std::cout << object->metadata_text() << ", " << object->payload().size() << " bytes\n";
  }
} catch (const shmlane::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
