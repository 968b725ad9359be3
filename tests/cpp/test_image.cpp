// SPDX-License-Identifier: Apache-2.0
// Images without OpenCV: rows are packed, every order and depth, and metadata that lies.
#include "shmlane/image.hpp"

#include <doctest/doctest.h>

#include "shmlane/error.hpp"
#include "support/frames.hpp"

using frames::encode;
using frames::make;
using shmlane::ChannelOrder;
using shmlane::Corrupt;
using shmlane::DType;
using shmlane::ImageEncoding;
using shmlane::ImageView;
using shmlane::InvalidArgument;
using shmlane::Object;
using shmlane::UnsupportedType;

namespace {

using enum shmlane::ChannelOrder;

constexpr ChannelOrder kOrders[] = {kGray, kGrayAlpha, kRgb, kRgba, kBgr, kBgra};

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

TEST_CASE("an image's metadata says its extents, dtype and the order of its channels") {
  const auto pixels = frames::counting_bytes(60);
  const Object frame = encode(ImageView::raw(5, 4, kRgb, DType("|u1"), pixels.data()));
  CHECK(frame.metadata_text() == R"({"type":"image","encoding":"raw","width":5,"height":4,"channels":3,"dtype":"|u1",)"
                                 R"("order":"RGB"})");
  CHECK(shmlane::image_order(frame.metadata()) == kRgb);
}

TEST_CASE("raw images of every order and depth cross in place") {
  const auto pixels = frames::counting_bytes(7 * 3 * 16);
  for (const ChannelOrder order : kOrders) {
    for (const char* dtype : {"|u1", "<u2", "<i4", "<f4"}) {
      CAPTURE(dtype);
      CAPTURE(shmlane::order_name(order));
      const ImageView image = ImageView::raw(7, 3, order, DType(std::string_view(dtype)), pixels.data());
      const Object frame = encode(image);
      const ImageView back = frame.get<ImageView>();
      CHECK(back.encoding == ImageEncoding::kRaw);
      CHECK(back.width == 7);
      CHECK(back.height == 3);
      CHECK(back.order == order);
      CHECK(back.dtype == image.dtype);
      CHECK(back.stride == image.row_bytes());
      CHECK(back.data.data() == frame.payload().data());
      CHECK(text_of(back.data) == text_of(image.data));
    }
  }
}

TEST_CASE("rows with gaps are packed") {
  const auto pixels = frames::counting_bytes(100);
  ImageView image = ImageView::raw(5, 4, kBgr, DType("|u1"), pixels.data());
  image.stride = 25;
  image.data = std::span(pixels).first(3 * 25 + 15);
  std::string expected;
  for (std::size_t y = 0; y < 4; ++y) expected += text_of(std::span(pixels).subspan(y * 25, 15));
  CHECK(frames::payload_text(encode(image)) == expected);
}

TEST_CASE("images without pixels cross") {
  for (const auto& [width, height] : {std::pair{0U, 0U}, {5U, 0U}, {0U, 5U}}) {
    const Object frame = encode(ImageView::raw(width, height, kGray, DType("|u1"), nullptr));
    CHECK(frame.payload().empty());
    CHECK(frame.get<ImageView>().width == width);
    CHECK(frame.get<ImageView>().height == height);
  }
}

TEST_CASE("a file of a compressed image crosses as it is") {
  const auto file = frames::counting_bytes(77);
  ImageView image;
  image.encoding = ImageEncoding::kPng;
  image.width = 640;
  image.height = 480;
  image.order = kGrayAlpha;
  image.dtype = DType("<u2");
  image.data = file;
  const Object frame = encode(image);
  CHECK(frame.metadata().json["encoding"] == "png");
  CHECK(frame.metadata().json["channels"] == 2);
  const ImageView back = frame.get<ImageView>();
  CHECK(back.encoding == ImageEncoding::kPng);
  CHECK(text_of(back.data) == text_of(image.data));
  image.encoding = ImageEncoding::kJpeg;
  CHECK_THROWS_AS(encode(image), UnsupportedType);
  image.encoding = ImageEncoding::kPng;
  image.order = kBgr;
  CHECK_THROWS_AS(encode(image), InvalidArgument);
}

TEST_CASE("images that cannot be are refused at push") {
  const auto pixels = frames::counting_bytes(600);
  for (const char* dtype : {"|i1", "|b1", "<i2", "<u4", "<f8", "<f2", ">u2", "bfloat16"}) {
    CHECK_THROWS_AS(ImageView::raw(2, 2, kGray, DType(std::string_view(dtype)), pixels.data()), UnsupportedType);
  }
  CHECK_THROWS_AS(ImageView::raw(0x80000000, 1, kGray, DType("|u1"), pixels.data()), InvalidArgument);
  CHECK_THROWS_AS(ImageView::raw(0x7fffffff, 0x7fffffff, kRgba, DType("<f4"), pixels.data()), InvalidArgument);
  ImageView image = ImageView::raw(10, 10, kRgb, DType("|u1"), pixels.data());
  image.stride = 29;
  CHECK_THROWS_AS(encode(image), InvalidArgument);
  image.stride = 31;
  CHECK_THROWS_AS(encode(image), InvalidArgument);
  image.stride = UINT64_MAX / 2;
  CHECK_THROWS_AS(encode(image), InvalidArgument);
}

TEST_CASE("an image whose metadata lies is corrupt") {
  const std::string right =
      R"({"type":"image","encoding":"raw","width":2,"height":2,"channels":3,"dtype":"|u1","order":"RGB"})";
  const std::string twelve(12, 'x');
  const Object fits = make(right, twelve);
  CHECK(fits.get<ImageView>().row_bytes() == 6);
  const std::pair<const char*, const char*> lies[] = {
      {R"("encoding":"raw",)", ""},
      {R"("width":2,)", ""},
      {R"("height":2,)", ""},
      {R"("channels":3,)", ""},
      {R"("dtype":"|u1",)", ""},
      {R"(,"order":"RGB")", ""},

      {R"("raw")", "7"},
      {R"("width":2)", R"("width":3)"},
      {R"("width":2)", R"("width":-2)"},
      {R"("width":2)", R"("width":2.0)"},
      {R"("width":2)", R"("width":"2")"},
      {R"("width":2)", R"("width":2147483648)"},
      {R"("width":2)", R"("width":0)"},
      {R"("width":2)", R"("width":18446744073709551615)"},
      {R"("height":2)", R"("height":null)"},
      {R"("height":2)", R"("height":4611686018427387905)"},
      {R"("width":2,"height":2)", R"("width":2147483647,"height":2147483647)"},
      {R"("channels":3)", R"("channels":4)"},
      {R"("channels":3)", R"("channels":3.0)"},
      {R"("RGB")", R"("RGBA")"},
      {R"("RGB")", R"("rgb")"},
      {R"("RGB")", "null"},
      {R"("|u1")", R"("<u2")"},

      {R"("|u1")", R"([["r","|u1"]])"},
      {R"("raw")", R"("png")"},
  };
  for (const auto& [truth, lie] : lies) {
    CAPTURE(lie);
    std::string metadata = right;
    metadata.replace(metadata.find(truth), std::strlen(truth), lie);
    if (std::string_view(lie) == R"("png")") metadata.replace(metadata.find("RGB"), 3, "BGR");
    const Object frame = make(metadata, twelve);
    CHECK_THROWS_AS((void)frame.get<ImageView>(), Corrupt);
  }
}

TEST_CASE("an encoding or dtype of images that is unknown here is unsupported, not corrupt") {
  const auto metadata = [](const char* encoding, const char* dtype) {
    return std::string(R"({"type":"image","width":1,"height":1,"channels":1,"order":"GRAY","encoding":")") + encoding +
           R"(","dtype":")" + dtype + "\"}";
  };
  const Object fits = make(metadata("raw", "|u1"), "x");
  CHECK(fits.get<ImageView>().width == 1);
  for (const auto& [encoding, dtype] : {std::pair{"webp", "|u1"}, {"raw", "|i1"}, {"raw", "int4"}, {"jpeg", "<u2"}}) {
    const Object frame = make(metadata(encoding, dtype), "x");
    CHECK_THROWS_AS((void)frame.get<ImageView>(), UnsupportedType);
  }
}
