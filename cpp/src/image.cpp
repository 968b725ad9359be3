// SPDX-License-Identifier: Apache-2.0
// Views of images, and packing their rows.
#include "shmlane/image.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "fields.hpp"
#include "json_text.hpp"
#include "shmlane/error.hpp"

namespace shmlane {
namespace {

struct Order {
  std::string_view name;
  unsigned channels;
};
constexpr std::array<std::string_view, 3> kEncodings{"raw", "png", "jpeg"};
constexpr std::array<Order, 6> kOrders{{{"GRAY", 1}, {"GRAYA", 2}, {"RGB", 3}, {"RGBA", 4}, {"BGR", 3}, {"BGRA", 4}}};

const Order& facts(ChannelOrder order) noexcept { return kOrders[static_cast<std::size_t>(order)]; }

// Files know no BGR, no signed and no floating pixels.
bool fits(ImageEncoding encoding, ChannelOrder order) noexcept {
  return encoding == ImageEncoding::kRaw || (order != ChannelOrder::kBgr && order != ChannelOrder::kBgra);
}
bool fits(ImageEncoding encoding, std::string_view text) noexcept {
  switch (encoding) {
    case ImageEncoding::kRaw:
      return text == "|u1" || text == "<u2" || text == "<i4" || text == "<f4";
    case ImageEncoding::kPng:
      return text == "|u1" || text == "<u2";
    case ImageEncoding::kJpeg:
      return text == "|u1";
  }
  return false;
}

std::optional<std::uint64_t> packed_size(const ImageView& image) noexcept {
  return checked_product(image.row_bytes(), image.height);
}

// Bytes from the first pixel to the end of the last row.
std::optional<std::uint64_t> spanned_size(const ImageView& image) noexcept {
  if (image.height == 0) return 0;
  const auto gaps = checked_product(image.stride, image.height - 1);
  return gaps ? checked_sum(*gaps, image.row_bytes()) : std::nullopt;
}

void check(const ImageView& image) {
  if (!fits(image.encoding, image.dtype.text())) {
    throw UnsupportedType("a " + std::string(encoding_name(image.encoding)) + " image cannot have channels of dtype " +
                          image.dtype.text() +
                          "; u1, <u2, <i4 and <f4 can be pushed raw, u1 and <u2 as PNG, u1 as JPEG");
  }
  if (!fits(image.encoding, image.order)) {
    throw InvalidArgument("a compressed image has no order " + std::string(order_name(image.order)) +
                          "; name what decoding gives: GRAY, GRAYA, RGB or RGBA");
  }
  if (image.width > kMaxImageExtent || image.height > kMaxImageExtent) throw InvalidArgument("the image is too large");
  if (image.encoding != ImageEncoding::kRaw) return;
  if (image.stride < image.row_bytes() && image.height > 1) throw InvalidArgument("the stride is shorter than a row");
  const auto needed = spanned_size(image);
  if (!needed || *needed > image.data.size() || !packed_size(image)) {
    throw InvalidArgument("an image of " + std::to_string(image.width) + " x " + std::to_string(image.height) +
                          " pixels needs more data than the " + std::to_string(image.data.size()) + " bytes given");
  }
}

ImageEncoding read_encoding(const Fields& fields) {
  const auto* const found = std::find(kEncodings.begin(), kEncodings.end(), fields.text("encoding"));
  if (found == kEncodings.end()) fields.unsupported("its encoding is none of raw, png, jpeg");
  return static_cast<ImageEncoding>(found - kEncodings.begin());
}

ChannelOrder read_order(const Fields& fields) {
  const std::string& name = fields.text("order");
  const auto* const found =
      std::find_if(kOrders.begin(), kOrders.end(), [&](const Order& order) { return order.name == name; });
  if (found == kOrders.end()) fields.corrupt("its order is none of GRAY, GRAYA, RGB, RGBA, BGR, BGRA");
  if (fields.length("channels") != found->channels) fields.corrupt("its order and its number of channels differ");
  return static_cast<ChannelOrder>(found - kOrders.begin());
}

std::uint32_t read_extent(const Fields& fields, const char* key) {
  const std::uint64_t extent = fields.length(key);
  if (extent > kMaxImageExtent) fields.corrupt(std::string("its ") + key + " is too large");
  return static_cast<std::uint32_t>(extent);
}

}  // namespace

std::string_view encoding_name(ImageEncoding encoding) noexcept {
  return kEncodings[static_cast<std::size_t>(encoding)];
}

std::string_view order_name(ChannelOrder order) noexcept { return facts(order).name; }

unsigned channel_count(ChannelOrder order) noexcept { return facts(order).channels; }

ImageView ImageView::raw(std::uint32_t width, std::uint32_t height, ChannelOrder order, DType dtype, const void* data) {
  ImageView image{ImageEncoding::kRaw, width, height, order, std::move(dtype), 0, {}};
  image.stride = image.row_bytes();
  const auto size = packed_size(image);
  if (!size) throw InvalidArgument("the image is too large");
  image.data = {static_cast<const std::byte*>(data), static_cast<std::size_t>(*size)};
  check(image);
  return image;
}

ChannelOrder image_order(const Metadata& metadata) {
  expect_type(metadata, "image");
  return read_order(Fields(metadata.json));
}

std::string Codec<ImageView>::metadata(const ImageView& image) {
  check(image);
  std::string text;
  text.reserve(128);
  text.append(R"({"type":"image","encoding":")").append(encoding_name(image.encoding));
  text.append(R"(","width":)").append(std::to_string(image.width));
  text.append(R"(,"height":)").append(std::to_string(image.height));
  text.append(R"(,"channels":)").append(std::to_string(image.channels()));
  text.append(R"(,"dtype":)");
  image.dtype.append_json(text);
  return text.append(R"(,"order":")").append(order_name(image.order)).append(R"("})");
}

std::uint64_t Codec<ImageView>::payload_size(const ImageView& image) {
  return image.encoding == ImageEncoding::kRaw ? image.row_bytes() * image.height : image.data.size();
}

std::optional<std::span<const std::byte>> Codec<ImageView>::bytes(const ImageView& image) {
  if (image.encoding == ImageEncoding::kRaw && !image.is_packed()) return std::nullopt;
  return image.data.first(payload_size(image));
}

void Codec<ImageView>::write(const ImageView& image, std::span<std::byte> out) {
  if (out.size() != payload_size(image)) throw InvalidArgument("an image changed while it was being written");
  if (out.empty()) return;
  if (const auto packed = bytes(image)) {
    std::memcpy(out.data(), packed->data(), out.size());
    return;
  }
  const std::uint64_t row = image.row_bytes();
  for (std::uint64_t y = 0; y < image.height; ++y) {
    std::memcpy(out.data() + y * row, image.data.data() + y * image.stride, row);
  }
}

ImageView Codec<ImageView>::read(const Metadata& metadata, std::span<const std::byte> payload) {
  expect_type(metadata, "image");
  return read_image(metadata.json, payload);
}

ImageView read_image(const Json& metadata, std::span<const std::byte> payload) {
  const Fields fields(metadata);
  ImageView image;
  image.encoding = read_encoding(fields);
  image.width = read_extent(fields, "width");
  image.height = read_extent(fields, "height");
  image.order = read_order(fields);
  const std::string& dtype = fields.text("dtype");
  if (!fits(image.encoding, dtype))
    fields.unsupported("images of its encoding have no dtype " + shmlane::quoted(dtype));
  image.dtype = DType(dtype);
  image.data = payload;
  if (!fits(image.encoding, image.order)) fields.corrupt("compressed images have no order BGR or BGRA");
  if (image.encoding != ImageEncoding::kRaw) return image;
  image.stride = image.row_bytes();
  if (packed_size(image) != payload.size()) {
    fields.corrupt("its extents need another payload than the " + std::to_string(payload.size()) + " bytes there are");
  }
  return image;
}

}  // namespace shmlane
