// SPDX-License-Identifier: Apache-2.0
// A cv::Mat seen as an image, and images and arrays seen as cv::Mat, all in place.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <opencv2/core.hpp>
#include <string>
#include <utility>
#include <vector>

#include "shmlane/error.hpp"
#include "shmlane/image.hpp"
#include "shmlane/ndarray.hpp"

namespace shmlane {
namespace detail {

inline constexpr std::size_t kMaxMatDimensions = 32;  // OpenCV's CV_MAX_DIM

inline DType dtype_of_depth(int depth) {
  switch (depth) {
    case CV_8U:
      return DType::of<std::uint8_t>();
    case CV_16U:
      return DType::of<std::uint16_t>();
    case CV_32S:
      return DType::of<std::int32_t>();
    case CV_32F:
      return DType::of<float>();
    default:
      throw UnsupportedType("a Mat of depth " + std::string(cv::depthToString(depth)) +
                            " is no image: convert it to CV_8U, CV_16U, CV_32S or CV_32F, or push it as an ndarray");
  }
}

inline int depth_of_dtype(const DType& dtype) {
  if (dtype.is<std::uint8_t>() || dtype.is<bool>()) return CV_8U;
  if (dtype.is<std::int8_t>()) return CV_8S;
  if (dtype.is<std::uint16_t>()) return CV_16U;
  if (dtype.is<std::int16_t>()) return CV_16S;
  if (dtype.is<std::int32_t>()) return CV_32S;
  if (dtype.is<float>()) return CV_32F;
  if (dtype.is<double>()) return CV_64F;
  if (dtype.text() == "<f2") return CV_16F;
  throw UnsupportedType("OpenCV has no items of dtype " + dtype.text());
}

inline ChannelOrder order_of_channels(int channels) {
  switch (channels) {
    case 1:
      return ChannelOrder::kGray;
    case 3:
      return ChannelOrder::kBgr;
    case 4:
      return ChannelOrder::kBgra;
    default:
      throw UnsupportedType("a Mat of " + std::to_string(channels) +
                            " channels is no image of 1, 3 or 4: say the order, or push it as an ndarray");
  }
}

// Steps of a Mat, which grow outwards in whole items without overlap.
inline std::vector<std::size_t> mat_steps(const NdView& array) {
  std::vector<std::size_t> steps(array.shape.size());
  const auto itemsize = static_cast<std::int64_t>(array.dtype.itemsize());
  std::int64_t inner = itemsize;
  for (std::size_t i = steps.size(); i-- > 0;) {
    const bool last = i + 1 == steps.size();
    // The stride of a single item means nothing.
    const std::int64_t step = array.shape[i] > 1 ? array.strides[i] : inner;
    if (array.shape[i] > std::numeric_limits<int>::max()) throw UnsupportedType("the array is too large for a Mat");
    if (step < inner || step % itemsize != 0 || (last && step != inner)) {
      throw UnsupportedType("a Mat cannot have the strides of the array: copy it into C order first");
    }
    steps[i] = static_cast<std::size_t>(step);
    inner = step * std::max<std::int64_t>(array.shape[i], 1);
  }
  return steps;
}

}  // namespace detail

// A Mat as an image that borrows its pixels: 8U, 16U, 32S or 32F; GRAY, BGR or BGRA unless another order is said.
// Throws UnsupportedType for other depths, numbers of channels or dimensions, InvalidArgument if the order does not fit.
// Push the view itself to push a Mat in another order than OpenCV's: push(image_view(mat, ChannelOrder::kRgb)).
inline ImageView image_view(const cv::Mat& mat, ChannelOrder order) {
  if (mat.dims > 2) throw UnsupportedType("a Mat of more than 2 dimensions is no image: push it as an ndarray");
  if (std::cmp_not_equal(mat.channels(), channel_count(order))) {
    throw InvalidArgument("a Mat of " + std::to_string(mat.channels()) + " channels cannot have the order " +
                          std::string(order_name(order)));
  }
  ImageView image;
  image.width = static_cast<std::uint32_t>(mat.cols);
  image.height = static_cast<std::uint32_t>(mat.rows);
  image.order = order;
  image.dtype = detail::dtype_of_depth(mat.depth());
  image.stride = mat.rows > 1 ? mat.step[0] : image.row_bytes();
  const std::size_t size = mat.empty() ? 0 : image.stride * (image.height - 1) + image.row_bytes();
  image.data = std::as_bytes(std::span(mat.data, size));
  return image;
}

inline ImageView image_view(const cv::Mat& mat) { return image_view(mat, detail::order_of_channels(mat.channels())); }

// Raw pixels as a Mat that borrows them, in the order that the image says; 2 channels for GRAYA. Read-only by contract,
// although OpenCV cannot say so: clone it to write. Throws UnsupportedType for a compressed image.
inline cv::Mat as_mat(const ImageView& image) {
  if (image.encoding != ImageEncoding::kRaw) {
    throw UnsupportedType("a compressed image has no pixels to look at: use to_bgr(), or get<cv::Mat>()");
  }
  const int type = CV_MAKETYPE(detail::depth_of_dtype(image.dtype), static_cast<int>(image.channels()));
  const auto step = static_cast<std::size_t>(std::max(image.stride, image.row_bytes()));
  return cv::Mat(static_cast<int>(image.height), static_cast<int>(image.width), type,
                 const_cast<std::byte*>(image.data.data()), step);
}

// Items as a Mat that borrows them, read-only as above. A last dimension of 1 to 4 in three becomes the channels;
// a vector becomes a column. Throws UnsupportedType for a dtype or strides that a Mat does not know.
inline cv::Mat as_mat(const NdView& array) {
  if (array.strides.size() != array.shape.size()) throw InvalidArgument("an array needs one stride per dimension");
  const int depth = detail::depth_of_dtype(array.dtype);
  auto* const data = const_cast<std::byte*>(array.data);
  const std::vector<std::size_t> steps = detail::mat_steps(array);
  std::vector<int> sizes(steps.size());
  std::transform(array.shape.begin(), array.shape.end(), sizes.begin(), [](auto n) { return static_cast<int>(n); });
  switch (sizes.size()) {
    case 0:
      return cv::Mat(1, 1, CV_MAKETYPE(depth, 1), data);
    case 1:
      return cv::Mat(sizes[0], 1, CV_MAKETYPE(depth, 1), data);
    case 2:
      return cv::Mat(sizes[0], sizes[1], CV_MAKETYPE(depth, 1), data, steps[0]);
    case 3:
      if (sizes[2] >= 1 && sizes[2] <= 4 && steps[1] == steps[2] * static_cast<std::size_t>(sizes[2])) {
        return cv::Mat(sizes[0], sizes[1], CV_MAKETYPE(depth, sizes[2]), data, steps[0]);
      }
      [[fallthrough]];
    default:
      if (sizes.size() > detail::kMaxMatDimensions) throw UnsupportedType("a Mat has at most 32 dimensions");
      return cv::Mat(static_cast<int>(sizes.size()), sizes.data(), CV_MAKETYPE(depth, 1), data, steps.data());
  }
}

}  // namespace shmlane
