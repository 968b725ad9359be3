// SPDX-License-Identifier: Apache-2.0
// cv::Mat: what goes out, what comes back, and conversions between orders.
#include "shmlane/opencv.hpp"

#include <doctest/doctest.h>

#include <numeric>

#include "shmlane/tensor.hpp"
#include "shmlane/value.hpp"
#include "support/frames.hpp"
#include "support/shm.hpp"

using frames::encode;
using frames::make;
using shmlane::ChannelOrder;
using shmlane::Compressed;
using shmlane::Corrupt;
using shmlane::ImageEncoding;
using shmlane::ImageView;
using shmlane::NdView;
using shmlane::Object;
using shmlane::UnsupportedType;

namespace {

using enum shmlane::ChannelOrder;

// A Mat of which every channel differs.
cv::Mat random_mat(int rows, int cols, int type) {
  cv::Mat mat(rows, cols, type);
  cv::theRNG().state = 4711;
  cv::randu(mat, 0, mat.depth() == CV_8U ? 256 : 60000);
  return mat;
}

bool same(const cv::Mat& a, const cv::Mat& b) {
  if (a.size() != b.size() || a.type() != b.type()) return false;
  for (int y = 0; y < a.rows; ++y) {
    if (std::memcmp(a.ptr(y), b.ptr(y), static_cast<std::size_t>(a.cols) * a.elemSize()) != 0) return false;
  }
  return true;
}

cv::Mat converted(const cv::Mat& mat, int code) {
  cv::Mat result;
  cv::cvtColor(mat, result, code);
  return result;
}

}  // namespace

TEST_CASE("a Mat of every depth and number of channels comes back, in place") {
  for (const int depth : {CV_8U, CV_16U, CV_32S, CV_32F}) {
    for (const int channels : {1, 3, 4}) {
      const cv::Mat mat = random_mat(7, 5, CV_MAKETYPE(depth, channels));
      const Object frame = encode(mat);
      const cv::Mat back = frame.get<cv::Mat>();
      CHECK(same(back, mat));
      CHECK(static_cast<const void*>(back.data) == frame.payload().data());
      const ChannelOrder order = channels == 1 ? kGray : channels == 3 ? kBgr : kBgra;
      CHECK(shmlane::image_order(frame.metadata()) == order);
    }
  }
}

TEST_CASE("a Mat's metadata says that it is BGR") {
  CHECK(encode(cv::Mat(2, 3, CV_8UC3)).metadata_text() ==
        R"({"type":"image","encoding":"raw","width":3,"height":2,"channels":3,"dtype":"|u1","order":"BGR"})");
}

TEST_CASE("a part of a Mat is packed") {
  const cv::Mat mat = random_mat(20, 30, CV_16UC3);
  const cv::Mat part = mat(cv::Rect(3, 4, 11, 9));
  CHECK_FALSE(part.isContinuous());
  const Object frame = encode(part);
  CHECK(frame.payload().size() == 11 * 9 * 6);
  CHECK(same(frame.get<cv::Mat>(), part));
  const Object row = encode(mat.row(7));
  CHECK(same(row.get<cv::Mat>(), mat.row(7)));
  const Object column = encode(mat.col(7));
  CHECK(same(column.get<cv::Mat>(), mat.col(7)));
}

TEST_CASE("empty Mats cross") {
  const Object empty = encode(cv::Mat());
  CHECK(empty.get<cv::Mat>().empty());
  const Object flat = encode(cv::Mat(0, 5, CV_8UC3));
  CHECK(flat.get<cv::Mat>().cols == 5);
  CHECK(shmlane::to_bgr(flat.get<ImageView>()).empty());
}

TEST_CASE("a Mat can be pushed in another order than OpenCV's") {
  const cv::Mat mat = random_mat(4, 4, CV_8UC3);
  const Object frame = encode(shmlane::image_view(mat, kRgb));
  CHECK(shmlane::image_order(frame.metadata()) == kRgb);
  CHECK(same(frame.get<cv::Mat>(), mat));
  CHECK_THROWS_AS((void)shmlane::image_view(mat, kRgba), shmlane::InvalidArgument);
}

TEST_CASE("Mats that are no images are refused with what to do") {
  for (const int type : {CV_8SC1, CV_16SC3, CV_64FC1, CV_16FC1, CV_8UC2, CV_8UC(5)}) {
    CHECK_THROWS_AS(encode(cv::Mat(2, 2, type, cv::Scalar(0))), UnsupportedType);
  }
  const int sizes[] = {2, 3, 4};
  CHECK_THROWS_AS(encode(cv::Mat(3, sizes, CV_8UC1, cv::Scalar(0))), UnsupportedType);
}

TEST_CASE("every order of every depth becomes BGR") {
  for (const int depth : {CV_8U, CV_16U, CV_32F}) {
    const cv::Mat grey = random_mat(6, 5, CV_MAKETYPE(depth, 1));
    const cv::Mat colour = random_mat(6, 5, CV_MAKETYPE(depth, 3));
    const cv::Mat alpha = random_mat(6, 5, CV_MAKETYPE(depth, 4));
    CHECK(same(shmlane::to_bgr(shmlane::image_view(grey)), converted(grey, cv::COLOR_GRAY2BGR)));
    CHECK(same(shmlane::to_bgr(shmlane::image_view(colour)), colour));
    CHECK(same(shmlane::to_bgr(shmlane::image_view(colour, kRgb)), converted(colour, cv::COLOR_RGB2BGR)));
    CHECK(same(shmlane::to_bgr(shmlane::image_view(alpha)), converted(alpha, cv::COLOR_BGRA2BGR)));
    CHECK(same(shmlane::to_bgr(shmlane::image_view(alpha, kRgba)), converted(alpha, cv::COLOR_RGBA2BGR)));
    cv::Mat grey_alpha;
    cv::merge(std::vector<cv::Mat>{grey, random_mat(6, 5, CV_MAKETYPE(depth, 1))}, grey_alpha);
    const Object frame = encode(shmlane::image_view(grey_alpha, kGrayAlpha));
    CHECK(frame.get<cv::Mat>().channels() == 2);
    CHECK(same(shmlane::to_bgr(frame.get<ImageView>()), converted(grey, cv::COLOR_GRAY2BGR)));
  }
}

TEST_CASE("32-bit integers become BGR with every bit kept") {
  const cv::Mat rgb(1, 3, CV_32SC3);
  int numbers[] = {-1, 0x7f800001, 1, INT_MIN, 2, 0x7fc00000, 16777217, -8388607, 5};
  std::memcpy(rgb.data, numbers, sizeof numbers);
  const cv::Mat bgr = shmlane::to_bgr(shmlane::image_view(rgb, kRgb));
  REQUIRE(bgr.type() == CV_32SC3);
  for (int x = 0; x < 3; ++x) {
    for (int channel = 0; channel < 3; ++channel) {
      CHECK(bgr.at<cv::Vec3i>(0, x)[channel] == rgb.at<cv::Vec3i>(0, x)[2 - channel]);
    }
  }
}

TEST_CASE("what to_bgr gives is the caller's own") {
  const cv::Mat mat = random_mat(4, 4, CV_8UC3);
  const Object frame = encode(mat);
  cv::Mat bgr = shmlane::to_bgr(frame.get<ImageView>());
  bgr.setTo(0);
  CHECK(same(frame.get<cv::Mat>(), mat));
}

TEST_CASE("a Mat crosses as PNG without loss") {
  for (const int type : {CV_8UC1, CV_8UC3, CV_8UC4, CV_16UC1, CV_16UC3, CV_16UC4}) {
    CAPTURE(type);
    const cv::Mat mat = random_mat(9, 8, type);
    const Object frame = encode(Compressed(mat));
    const ImageView image = frame.get<ImageView>();
    CHECK(image.encoding == ImageEncoding::kPng);
    CHECK(image.width == 8);
    CHECK(image.height == 9);
    CHECK(image.order == (mat.channels() == 1 ? kGray : mat.channels() == 3 ? kRgb : kRgba));
    const cv::Mat bgr = mat.channels() == 1   ? converted(mat, cv::COLOR_GRAY2BGR)
                        : mat.channels() == 3 ? mat
                                              : converted(mat, cv::COLOR_BGRA2BGR);
    CHECK(same(shmlane::to_bgr(image), bgr));
    const cv::Mat standard = mat.channels() == 1   ? mat
                             : mat.channels() == 3 ? converted(mat, cv::COLOR_BGR2RGB)
                                                   : converted(mat, cv::COLOR_BGRA2RGBA);
    CHECK(same(frame.get<cv::Mat>(), standard));
  }
}

TEST_CASE("a Mat crosses as JPEG, smaller with less quality") {
  cv::Mat mat = random_mat(64, 64, CV_8UC3);
  cv::GaussianBlur(mat, mat, {9, 9}, 0);
  const Object fine = encode(Compressed(mat, ImageEncoding::kJpeg, 95));
  const Object coarse = encode(Compressed(mat, ImageEncoding::kJpeg, 20));
  CHECK(coarse.payload().size() < fine.payload().size());
  CHECK(cv::norm(shmlane::to_bgr(fine.get<ImageView>()), mat, cv::NORM_INF) < 40);
  const Object grey = encode(Compressed(random_mat(8, 8, CV_8UC1), ImageEncoding::kJpeg));
  CHECK(grey.get<cv::Mat>().channels() == 1);
}

TEST_CASE("a compressed image is encoded once and fits into a list") {
  const cv::Mat mat = random_mat(16, 16, CV_8UC3);
  const Compressed image(mat);
  const Object frame = encode(shmlane::List{image.view(), shmlane::image_view(mat), "label"});
  const shmlane::Value list = frame.get<shmlane::Value>();
  CHECK(same(shmlane::to_bgr(list.at(0).as<ImageView>()), mat));
  CHECK(same(shmlane::as_mat(list.at(1).as<ImageView>()), mat));
  CHECK_THROWS_AS((void)shmlane::as_mat(list.at(0).as<ImageView>()), UnsupportedType);
}

TEST_CASE("what cannot be compressed is refused") {
  CHECK_THROWS_AS(Compressed(cv::Mat(2, 2, CV_32FC1)), UnsupportedType);
  CHECK_THROWS_AS(Compressed(cv::Mat(2, 2, CV_32SC3)), UnsupportedType);
  CHECK_THROWS_AS(Compressed(cv::Mat(2, 2, CV_16UC3), ImageEncoding::kJpeg), UnsupportedType);
  CHECK_THROWS_AS(Compressed(cv::Mat(2, 2, CV_8UC4), ImageEncoding::kJpeg), UnsupportedType);
  CHECK_THROWS_AS(Compressed(cv::Mat()), shmlane::InvalidArgument);
  CHECK_THROWS_AS(Compressed(cv::Mat(2, 2, CV_8UC3), ImageEncoding::kRaw), shmlane::InvalidArgument);
  CHECK_THROWS_AS(Compressed(cv::Mat(2, 2, CV_8UC3), ImageEncoding::kPng, 10), shmlane::InvalidArgument);
  CHECK_THROWS_AS(Compressed(cv::Mat(2, 2, CV_8UC3), ImageEncoding::kJpeg, 101), shmlane::InvalidArgument);
}

TEST_CASE("a broken or lying compressed image is corrupt") {
  const Object right = encode(Compressed(random_mat(4, 6, CV_8UC3)));
  const std::string metadata(right.metadata_text());
  const std::string file = frames::payload_text(right);
  const Object nothing = make(metadata, "");
  CHECK_THROWS_AS((void)nothing.get<cv::Mat>(), Corrupt);
  const Object garbage = make(metadata, "this is not a picture");
  CHECK_THROWS_AS((void)shmlane::to_bgr(garbage.get<ImageView>()), Corrupt);
  const std::pair<const char*, const char*> lies[] = {
      {R"("width":6)", R"("width":7)"},
      {R"("height":4)", R"("height":5)"},
      {R"("|u1")", R"("<u2")"},
      {R"("channels":3,"dtype":"|u1","order":"RGB")", R"("channels":1,"dtype":"|u1","order":"GRAY")"},
      {R"("channels":3,"dtype":"|u1","order":"RGB")", R"("channels":2,"dtype":"|u1","order":"GRAYA")"},
      {R"("channels":3,"dtype":"|u1","order":"RGB")", R"("channels":4,"dtype":"|u1","order":"RGBA")"},
  };
  for (const auto& [truth, lie] : lies) {
    CAPTURE(lie);
    std::string lying = metadata;
    lying.replace(lying.find(truth), std::strlen(truth), lie);
    const Object frame = make(lying, file);
    CHECK_THROWS_AS((void)frame.get<cv::Mat>(), Corrupt);
  }
}

TEST_CASE("arrays are seen as Mats in place") {
  std::vector<float> numbers(60);
  std::iota(numbers.begin(), numbers.end(), 0.0F);
  const cv::Mat plane = shmlane::as_mat(NdView::of(numbers, {6, 10}));
  CHECK(plane.type() == CV_32FC1);
  CHECK(plane.at<float>(5, 9) == 59);
  CHECK(static_cast<const void*>(plane.data) == numbers.data());
  const cv::Mat colour = shmlane::as_mat(NdView::of(numbers, {4, 5, 3}));
  CHECK(colour.type() == CV_32FC3);
  CHECK(colour.at<cv::Vec3f>(3, 4)[2] == 59);
  const cv::Mat volume = shmlane::as_mat(NdView::of(numbers, {2, 5, 6}));
  CHECK(volume.dims == 3);
  CHECK(volume.at<float>(1, 4, 5) == 59);
  CHECK(shmlane::as_mat(NdView::of(numbers)).rows == 60);
  CHECK(shmlane::as_mat(NdView::contiguous(shmlane::DType::of<float>(), {}, numbers.data())).total() == 1);
  CHECK(shmlane::as_mat(NdView::contiguous(shmlane::DType::of<float>(), {0, 4}, nullptr)).empty());
}

TEST_CASE_FIXTURE(ShmTest, "a tensor is a Mat in place") {
  const shmlane::Tensor tensor = shmlane::Tensor::create(name(), shmlane::DType::of<std::uint8_t>(), {4, 5, 3});
  cv::Mat mat = shmlane::as_mat(tensor.view());
  CHECK(mat.type() == CV_8UC3);
  mat.at<cv::Vec3b>(3, 4)[2] = 9;
  CHECK(shmlane::Tensor::attach(name()).as<std::uint8_t>().back() == 9);
  shmlane::unlink_tensor(name());
}

TEST_CASE("a part of an array is seen as a Mat if its rows are whole") {
  std::vector<std::uint16_t> numbers(100);
  std::iota(numbers.begin(), numbers.end(), std::uint16_t{0});
  const auto* const data = reinterpret_cast<const std::byte*>(numbers.data());
  const auto u2 = shmlane::DType::of<std::uint16_t>();
  const cv::Mat part = shmlane::as_mat(NdView{u2, {4, 3}, {20, 2}, data + 44});
  CHECK(part.at<std::uint16_t>(3, 2) == 22 + 30 + 2);
  CHECK_THROWS_AS((void)shmlane::as_mat(NdView{u2, {4, 3}, {2, 20}, data}), UnsupportedType);
  CHECK_THROWS_AS((void)shmlane::as_mat(NdView{u2, {4, 3}, {20, 4}, data}), UnsupportedType);
  CHECK_THROWS_AS((void)shmlane::as_mat(NdView{u2, {4, 3}, {-20, 2}, data + 100}), UnsupportedType);
  CHECK_THROWS_AS((void)shmlane::as_mat(NdView{u2, {4, 3}, {0, 2}, data}), UnsupportedType);
  CHECK_THROWS_AS((void)shmlane::as_mat(NdView{u2, {4, 3}, {7, 2}, data}), UnsupportedType);
}

TEST_CASE("dtypes that OpenCV does not know are refused") {
  const auto bytes = frames::counting_bytes(64);
  for (const char* text : {"<u4", "<i8", "<c8", ">f4", "|S4", "bfloat16", "<M8[ns]"}) {
    const NdView view = NdView::contiguous(shmlane::DType(std::string_view(text)), {2}, bytes.data());
    CHECK_THROWS_AS((void)shmlane::as_mat(view), UnsupportedType);
  }
}
