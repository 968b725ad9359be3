// SPDX-License-Identifier: Apache-2.0
// The C++ testee: one case per line on descriptor 0, one answer per line on descriptor 1.
#include <iostream>
#include <string>

#include "cases.hpp"
#include "shmlane/log.hpp"

int main() {
  shmlane::set_log_level(shmlane::LogLevel::kOff);
  std::string line;
  while (std::getline(std::cin, line)) {
    try {
      std::cout << testee::answer(shmlane::Json::parse(line)).dump() << std::endl;
    } catch (const std::exception& error) {
      std::cerr << "testee: " << error.what() << '\n';
      return 1;
    }
  }
  return 0;
}
