// SPDX-License-Identifier: Apache-2.0
// The smallest user of shmlane::opencv: a picture goes through the queue named on the command line.
#include <iostream>
#include <opencv2/core.hpp>
#include <shmlane/opencv.hpp>
#include <shmlane/queue.hpp>

int main(int, char** argv) {
  shmlane::Consumer rx(argv[1]);
  shmlane::Producer tx(argv[1]);
  tx.push(cv::Mat(3, 4, CV_8UC3, cv::Scalar(1, 2, 3)));
  auto lease = rx.acquire();
  const auto picture = lease->get<cv::Mat>();
  std::cout << picture.cols << " x " << picture.rows << '\n';
}
