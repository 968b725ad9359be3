// SPDX-License-Identifier: Apache-2.0
// cv::Mat as an image that crosses, raw or compressed, and its conversion to BGR. Link shmlane::opencv.
#pragma once

#include <cstdint>
#include <limits>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shmlane/codec.hpp"
#include "shmlane/error.hpp"
#include "shmlane/image.hpp"
#include "shmlane/opencv_views.hpp"

namespace shmlane {
namespace detail {

// What decoding gives, in OpenCV's own order, checked against what the metadata promised.
inline cv::Mat decode(const ImageView& image) {
  if (image.data.size() > std::numeric_limits<int>::max()) throw UnsupportedType("OpenCV decodes at most 2 GiB");
  cv::Mat decoded;
  if (!image.data.empty()) {
    const cv::Mat file(1, static_cast<int>(image.data.size()), CV_8UC1, const_cast<std::byte*>(image.data.data()));
    try {
      decoded = cv::imdecode(file, cv::IMREAD_UNCHANGED);
    } catch (const cv::Exception& error) {
      throw Corrupt("OpenCV cannot decode the image: " + error.err);
    }
  }
  if (decoded.empty()) throw Corrupt("the payload is no " + std::string(encoding_name(image.encoding)) + " image");
  const bool as_said = std::cmp_equal(decoded.cols, image.width) && std::cmp_equal(decoded.rows, image.height) &&
                       decoded.depth() == depth_of_dtype(image.dtype);
  if (!as_said) throw Corrupt("the compressed image has another size or depth than its metadata says");
  return decoded;
}

// Conversions that only move channels; -1: nothing to do.
inline int conversion(ChannelOrder from, ChannelOrder to) {
  using enum ChannelOrder;
  if (from == to) return -1;
  if (to == kBgr && from == kGray) return cv::COLOR_GRAY2BGR;
  if (to == kBgr && from == kRgb) return cv::COLOR_RGB2BGR;
  if (to == kBgr && from == kRgba) return cv::COLOR_RGBA2BGR;
  if (to == kBgr && from == kBgra) return cv::COLOR_BGRA2BGR;
  if (to == kRgb && from == kBgr) return cv::COLOR_BGR2RGB;
  if (to == kRgb && from == kBgra) return cv::COLOR_BGRA2RGB;
  if (to == kRgba && from == kBgra) return cv::COLOR_BGRA2RGBA;
  throw Corrupt("the compressed image has other channels than its metadata says");
}

inline cv::Mat convert(const cv::Mat& mat, ChannelOrder from, ChannelOrder to) {
  const int code = conversion(from, to);
  if (code == -1) return mat;
  cv::Mat result;
  if (mat.depth() != CV_32S) {
    cv::cvtColor(mat, result, code);
    return result;
  }
  // cvtColor refuses 32S, but moves channels of that width all the same.
  cv::cvtColor(cv::Mat(mat.rows, mat.cols, CV_32FC(mat.channels()), mat.data, mat.step), result, code);
  return cv::Mat(result.rows, result.cols, CV_32SC(result.channels()), result.data).clone();
}

}  // namespace detail

// The image as a Mat of its own with the three channels B, G, R, whatever came: decoded, grey repeated, alpha dropped.
// The depth is kept. Throws Corrupt if it cannot be decoded.
inline cv::Mat to_bgr(const ImageView& image) {
  const bool raw = image.encoding == ImageEncoding::kRaw;
  cv::Mat mat = raw ? as_mat(image) : detail::decode(image);
  ChannelOrder order = raw ? image.order : detail::order_of_channels(mat.channels());
  if (mat.empty()) return cv::Mat(mat.rows, mat.cols, CV_MAKETYPE(mat.depth(), 3));
  if (order == ChannelOrder::kGrayAlpha) {
    cv::Mat grey;
    cv::extractChannel(mat, grey, 0);
    mat = grey;
    order = ChannelOrder::kGray;
  }
  if (raw && order == ChannelOrder::kBgr) return mat.clone();
  return detail::convert(mat, order, ChannelOrder::kBgr);
}

// A Mat (GRAY, BGR or BGRA) compressed once, when it is made; can be pushed any number of times.
class Compressed {
 public:
  // Quality is 0 to 100 for JPEG, the level of compression 0 to 9 for PNG; -1 is OpenCV's default. PNG takes 8U and 16U,
  // JPEG 8U without alpha. Throws UnsupportedType, InvalidArgument.
  explicit Compressed(const cv::Mat& mat, ImageEncoding encoding = ImageEncoding::kPng, int quality = -1);

  // The image in its compressed form; borrows from this.
  [[nodiscard]] ImageView view() const& {
    ImageView image = facts_;
    image.data = std::as_bytes(std::span(file_));
    return image;
  }
  ImageView view() const&& = delete;

 private:
  ImageView facts_;
  std::vector<unsigned char> file_;
};

// A Mat is pushed as image_view() sees it, row by row if it is part of a larger one. Reading gives as_mat() of a raw
// image; a compressed one is decoded into a Mat of its own, in the order that image_order(metadata) says.
template <>
struct Codec<cv::Mat> {
  static std::string metadata(const cv::Mat& mat) { return Codec<ImageView>::metadata(image_view(mat)); }
  static std::uint64_t payload_size(const cv::Mat& mat) { return Codec<ImageView>::payload_size(image_view(mat)); }
  static void write(const cv::Mat& mat, std::span<std::byte> out) { Codec<ImageView>::write(image_view(mat), out); }
  static std::optional<std::span<const std::byte>> bytes(const cv::Mat& mat) {
    return Codec<ImageView>::bytes(image_view(mat));
  }
  static cv::Mat read(const Metadata& metadata, std::span<const std::byte> payload);
};

// Only for pushing.
template <>
struct Codec<Compressed> {
  static std::string metadata(const Compressed& image) { return Codec<ImageView>::metadata(image.view()); }
  static std::uint64_t payload_size(const Compressed& image) { return Codec<ImageView>::payload_size(image.view()); }
  static void write(const Compressed& image, std::span<std::byte> out) { Codec<ImageView>::write(image.view(), out); }
  static std::optional<std::span<const std::byte>> bytes(const Compressed& image) {
    return Codec<ImageView>::bytes(image.view());
  }
};

inline Compressed::Compressed(const cv::Mat& mat, ImageEncoding encoding, int quality) : facts_(image_view(mat)) {
  const bool jpeg = encoding == ImageEncoding::kJpeg;
  if (!jpeg && encoding != ImageEncoding::kPng) throw InvalidArgument("a raw image is not compressed: push the Mat");
  if (mat.empty()) throw InvalidArgument("an empty Mat cannot be compressed");
  if (quality < -1 || quality > (jpeg ? 100 : 9)) throw InvalidArgument("no such quality: " + std::to_string(quality));
  const bool fits = jpeg ? mat.depth() == CV_8U && mat.channels() != 4 : mat.depth() == CV_8U || mat.depth() == CV_16U;
  if (!fits) throw UnsupportedType("PNG holds CV_8U and CV_16U, JPEG CV_8U without alpha; push this Mat as it is");
  std::vector<int> parameters;
  if (quality != -1) parameters = {jpeg ? cv::IMWRITE_JPEG_QUALITY : cv::IMWRITE_PNG_COMPRESSION, quality};
  const bool done = cv::imencode(jpeg ? ".jpg" : ".png", mat, file_, parameters);
  if (!done) throw InvalidArgument("OpenCV cannot compress the Mat");
  facts_.encoding = encoding;
  if (facts_.order == ChannelOrder::kBgr) facts_.order = ChannelOrder::kRgb;
  if (facts_.order == ChannelOrder::kBgra) facts_.order = ChannelOrder::kRgba;
}

inline cv::Mat Codec<cv::Mat>::read(const Metadata& metadata, std::span<const std::byte> payload) {
  const ImageView image = Codec<ImageView>::read(metadata, payload);
  if (image.encoding == ImageEncoding::kRaw) return as_mat(image);
  const cv::Mat decoded = detail::decode(image);
  if (image.order != ChannelOrder::kGrayAlpha) {
    return detail::convert(decoded, detail::order_of_channels(decoded.channels()), image.order);
  }
  if (decoded.channels() != 4) throw Corrupt("the compressed image has other channels than its metadata says");
  cv::Mat grey_alpha(decoded.rows, decoded.cols, CV_MAKETYPE(decoded.depth(), 2));
  cv::mixChannels(decoded, grey_alpha, {0, 0, 3, 1});
  return grey_alpha;
}

}  // namespace shmlane
