// SPDX-License-Identifier: Apache-2.0
// The C++ side of `make demo`: looks at pictures and arrays in one queue, and sends their edges through another.
//
//   demo_edges_opencv FROM TO [--no-work]
//
// Every object carries its index and the moment of sending (steady clock, nanoseconds); the answer carries both, and the
// moment at which the object was in our hands. Without work one channel of a picture, or the array itself, goes back.
#include <chrono>
#include <cstdint>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>

#include "shmlane/error.hpp"
#include "shmlane/opencv.hpp"
#include "shmlane/queue.hpp"
#include "shmlane/value.hpp"

namespace {

using shmlane::ImageView;
using shmlane::Json;
using shmlane::Map;
using shmlane::NdView;
using shmlane::Value;

std::int64_t now_ns() { return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count(); }

cv::Mat gray_of(const ImageView& image) {
  if (image.order == shmlane::ChannelOrder::kGray) return shmlane::as_mat(image);
  cv::Mat gray;
  if (image.order == shmlane::ChannelOrder::kRgb) {
    cv::cvtColor(shmlane::as_mat(image), gray, cv::COLOR_RGB2GRAY);
  } else {
    cv::cvtColor(shmlane::to_bgr(image), gray, cv::COLOR_BGR2GRAY);
  }
  return gray;
}

cv::Mat edges_of(const ImageView& image) {
  cv::Mat smooth, edges;
  cv::GaussianBlur(gray_of(image), smooth, {5, 5}, 0);
  cv::Canny(smooth, edges, 40, 120);
  return edges;
}

class Answers {
 public:
  Answers(const char* name, bool work) : tx_(name, options()), work_(work) {}

  void answer(const Value& object, std::int64_t received) {
    if (const auto* map = object.get_if<Map>()) {
      answer_map(*map, object, received);
    } else if (const auto* json = object.get_if<Json>()) {
      tx_.push(Json{{"sent", json->at("sent")}, {"received", received}, {"index", json->at("index")}, {"json", *json}});
    } else {
      answer_text(object.as<std::string_view>(), received);
    }
  }

 private:
  static shmlane::ProducerOptions options() {
    shmlane::ProducerOptions options;
    options.capacity = shmlane::parse_size("24MiB");
    options.max_objects = 8;
    return options;
  }

  void answer_map(const Map& map, const Value& object, std::int64_t received) {
    Map result{{"sent", object.at("sent")}, {"received", received}, {"index", object.at("index")}};
    cv::Mat mat;  // holds the result until it is pushed
    if (const auto* image = map.back().second.get_if<ImageView>()) {
      if (work_) {
        mat = edges_of(*image);
      } else {
        cv::extractChannel(shmlane::as_mat(*image), mat, 0);
      }
      result.emplace_back("image", shmlane::image_view(mat));
    } else {
      const auto& array = map.back().second.as<NdView>();
      if (work_) cv::Laplacian(shmlane::as_mat(array), mat, CV_32F);
      result.emplace_back("array", work_ ? NdView::contiguous(array.dtype, array.shape, mat.data) : array);
    }
    tx_.push(result);
  }

  // "<sent> <index> <words>"
  void answer_text(std::string_view text, std::int64_t received) {
    std::istringstream fields{std::string(text)};
    std::int64_t sent = 0;
    std::int64_t index = 0;
    fields >> sent >> index;
    tx_.push(Json{{"sent", sent}, {"received", received}, {"index", index}, {"text", text}});
  }

  shmlane::Producer tx_;
  bool work_;
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) {
    std::cerr << "usage: demo_edges_opencv FROM TO [--no-work]\n";
    return 2;
  }
  shmlane::Consumer rx(argv[1]);
  Answers answers(argv[2], argc == 3);
  while (const auto lease = rx.acquire()) {
    const std::int64_t received = now_ns();
    answers.answer(lease->get<Value>(), received);
  }
} catch (const std::exception& error) {
  std::cerr << "demo_edges_opencv: " << error.what() << '\n';
  return 1;
}
