// SPDX-License-Identifier: Apache-2.0
// Looks at whatever is in the queue "numbers" where it lies, without a copy.
#include <iostream>

#include "shmlane/error.hpp"
#include "shmlane/queue.hpp"
#include "shmlane/value.hpp"

int main() try {
  shmlane::Consumer rx("numbers");
  while (const auto lease = rx.acquire()) {  // false when the last producer has gone
    const auto value = lease->get<shmlane::Value>();
    std::cout << value.type() << ": ";
    if (const auto* text = value.get_if<std::string_view>()) {
      std::cout << *text << '\n';
    } else if (const auto* json = value.get_if<shmlane::Json>()) {
      std::cout << *json << '\n';
    } else if (const auto* array = value.get_if<shmlane::NdView>()) {
      std::cout << array->size() << " items of dtype " << array->dtype.text() << '\n';
    } else {
      std::cout << lease->payload().size() << " bytes\n";
    }
  }
} catch (const shmlane::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
