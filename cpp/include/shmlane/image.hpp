// SPDX-License-Identifier: Apache-2.0
// ImageView: raw or compressed pixels that lie somewhere else, and its codec (W-85).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "shmlane/codec.hpp"
#include "shmlane/dtype.hpp"
#include "shmlane/export.hpp"

namespace shmlane {

enum class ImageEncoding : std::uint8_t { kRaw, kPng, kJpeg };

// What the channels of a pixel are, in the order in which they lie in memory.
enum class ChannelOrder : std::uint8_t { kGray, kGrayAlpha, kRgb, kRgba, kBgr, kBgra };

// "raw" and "GRAYA" and so on, as metadata spells them.
SHMLANE_EXPORT std::string_view encoding_name(ImageEncoding encoding) noexcept;
SHMLANE_EXPORT std::string_view order_name(ChannelOrder order) noexcept;
SHMLANE_EXPORT unsigned channel_count(ChannelOrder order) noexcept;

// Extents go to 2^31 - 1, as in every library for images.
inline constexpr std::uint32_t kMaxImageExtent = 0x7fffffff;

// Borrows its pixels; whoever owns them (a Lease, an Object, the caller) must outlive it.
struct SHMLANE_EXPORT ImageView {
  ImageEncoding encoding = ImageEncoding::kRaw;
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  // Of the raw pixels, or of what decoding gives: GRAY, GRAYA, RGB or RGBA for a compressed image.
  ChannelOrder order = ChannelOrder::kGray;
  DType dtype;                      // of one channel: u1, <u2, <i4 or <f4
  std::uint64_t stride = 0;         // bytes from one row to the next; of raw pixels only
  std::span<const std::byte> data;  // rows from the top; or the whole file of a PNG or JPEG

  // Raw pixels whose rows follow each other without gaps. `data` has all of them.
  static ImageView raw(std::uint32_t width, std::uint32_t height, ChannelOrder order, DType dtype, const void* data);

  [[nodiscard]] unsigned channels() const noexcept { return channel_count(order); }
  // Bytes of one row of raw pixels without what follows it up to the stride.
  [[nodiscard]] std::uint64_t row_bytes() const noexcept {
    return std::uint64_t{width} * channels() * dtype.itemsize();
  }
  [[nodiscard]] bool is_packed() const noexcept { return stride == row_bytes() || height <= 1; }
};

// The order of channels of an image that arrived. Throws WrongType for other objects, Corrupt.
SHMLANE_EXPORT ChannelOrder image_order(const Metadata& metadata);

// Pushing packs the rows, straight into the ring. Reading borrows the payload; it throws Corrupt, or UnsupportedType for
// an encoding or dtype that is unknown here.
// metadata() throws UnsupportedType for a dtype that images do not have, InvalidArgument if `data` is too short.
template <>
struct SHMLANE_EXPORT Codec<ImageView> {
  static std::string metadata(const ImageView& image);
  static std::uint64_t payload_size(const ImageView& image);
  static void write(const ImageView& image, std::span<std::byte> out);
  static std::optional<std::span<const std::byte>> bytes(const ImageView& image);
  static ImageView read(const Metadata& metadata, std::span<const std::byte> payload);
};

}  // namespace shmlane
