// SPDX-License-Identifier: Apache-2.0
// Writes a stream, or reads one: stream write | stream read. Start either first in two terminals; the writer makes it.
#include <array>
#include <chrono>
#include <cmath>
#include <iostream>
#include <string_view>
#include <thread>

#include "shmlane/stream.hpp"

using namespace std::chrono_literals;

namespace {

void write() {
  shmlane::unlink_stream("pose");
  auto pose = shmlane::Stream::create("pose", shmlane::DType::of<double>(), {3}, {.auto_unlink = true});
  for (int i = 0; i < 2000; ++i) {
    const double angle = i / 100.0;
    pose.write(std::array{std::cos(angle), std::sin(angle), angle});
    std::this_thread::sleep_for(1ms);
  }
}

void read() {
  while (true) {
    try {
      const auto pose = shmlane::Stream::open("pose");
      for (std::array<double, 3> value{};; std::this_thread::sleep_for(200ms)) {
        const std::uint64_t count = pose.read(value);
        std::cout << "value " << count << ": " << value[0] << " " << value[1] << " " << value[2] << std::endl;
      }
    } catch (const shmlane::NotFound&) {
      std::this_thread::sleep_for(50ms);
    } catch (const shmlane::Removed&) {
      return;
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  const std::string_view role = count > 1 ? arguments[1] : "";
  if (role != "write" && role != "read") {
    std::cerr << "usage: stream write|read\n";
    return 2;
  }
  role == "write" ? write() : read();
}
