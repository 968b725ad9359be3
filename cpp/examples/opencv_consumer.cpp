// SPDX-License-Identifier: Apache-2.0
// Takes pictures from the queue "pictures" (examples/python_producer.py), finds their edges, and says how many there are.
#include <iostream>

#include "shmlane/error.hpp"
#include "shmlane/opencv.hpp"
#include "shmlane/queue.hpp"

int main() try {
  shmlane::Consumer rx("pictures");
  while (const auto lease = rx.acquire()) {  // false when the last producer has gone
    // A view of the ring's memory. Python pushes RGB, which the metadata says and the view keeps.
    const auto image = lease->get<shmlane::ImageView>();
    cv::Mat gray, edges;
    cv::cvtColor(shmlane::to_bgr(image), gray, cv::COLOR_BGR2GRAY);
    cv::Canny(gray, edges, 80, 160);
    std::cout << image.width << " x " << image.height << ' ' << shmlane::order_name(image.order) << ": "
              << cv::countNonZero(edges) << " pixels on edges\n";
  }
} catch (const shmlane::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
