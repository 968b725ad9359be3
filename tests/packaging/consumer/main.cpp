// SPDX-License-Identifier: Apache-2.0
// The smallest user of the library: one text goes through the queue named on the command line.
#include <iostream>
#include <shmlane/codecs.hpp>
#include <shmlane/queue.hpp>
#include <string_view>

int main(int, char** argv) {
  shmlane::Consumer rx(argv[1]);
  shmlane::Producer tx(argv[1]);
  tx.push(std::string_view("hello"));
  auto object = rx.pop();
  std::cout << object->get<std::string_view>() << '\n';
}
