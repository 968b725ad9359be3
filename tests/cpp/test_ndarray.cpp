// SPDX-License-Identifier: Apache-2.0
// Arrays: views, every dtype, every kind of strides, and metadata that lies.
#include "shmlane/ndarray.hpp"

#include <doctest/doctest.h>

#include <numeric>

#include "support/frames.hpp"

using frames::encode;
using frames::make;
using shmlane::Corrupt;
using shmlane::Dims;
using shmlane::DType;
using shmlane::InvalidArgument;
using shmlane::Json;
using shmlane::NdView;
using shmlane::Object;
using shmlane::WrongType;

namespace {

std::vector<int> counting(std::size_t size) {
  std::vector<int> numbers(size);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

// The items of any view, one by one in C order, as the plainest code would gather them.
std::string gathered(const NdView& view) {
  std::string items;
  std::vector<std::int64_t> index(view.shape.size());
  for (std::uint64_t n = 0; n < view.size(); ++n) {
    const std::byte* item = view.data;
    for (std::size_t i = 0; i < index.size(); ++i) item += index[i] * view.strides[i];
    items.append(reinterpret_cast<const char*>(item), view.dtype.itemsize());
    for (std::size_t i = index.size(); i-- > 0;) {
      if (++index[i] < view.shape[i]) break;
      index[i] = 0;
    }
  }
  return items;
}

void check_gathering(const NdView& view) {
  const Object frame = encode(view);
  CHECK(frames::payload_text(frame) == gathered(view));
  const NdView back = frame.get<NdView>();
  CHECK(back.shape == view.shape);
  CHECK(back.dtype == view.dtype);
  CHECK(back.is_c_contiguous());
}

template <class T>
void check_items(std::vector<T> items) {
  const auto count = static_cast<std::int64_t>(items.size());
  const Object frame = encode(NdView::of(items, {count, 1}));
  const NdView view = frame.get<NdView>();
  CHECK(std::ranges::equal(view.as<T>(), items));
  for (std::int64_t i = 0; i < count; ++i) CHECK(view.at<T>(i, 0) == items[static_cast<std::size_t>(i)]);
}

}  // namespace

TEST_CASE("an array's metadata is compact, with the type first") {
  const auto numbers = counting(6);
  CHECK(encode(NdView::of(numbers, {2, 3})).metadata_text() == R"({"type":"ndarray","dtype":"<i4","shape":[2,3]})");
  CHECK(encode(NdView::of(numbers)).metadata_text() == R"({"type":"ndarray","dtype":"<i4","shape":[6]})");
  const double single = 1.5;
  const NdView scalar = NdView::of(std::span(&single, 1), Dims{});
  CHECK(encode(scalar).metadata_text() == R"({"type":"ndarray","dtype":"<f8","shape":[]})");
}

TEST_CASE("items of every C++ type cross") {
  check_items<std::int8_t>({-128, 0, 127});
  check_items<std::uint8_t>({0, 1, 255});
  check_items<std::int16_t>({-32768, 7});
  check_items<std::uint16_t>({65535, 7});
  check_items<std::int32_t>({-2147483647, 7});
  check_items<std::uint32_t>({4294967295, 7});
  check_items<std::int64_t>({INT64_MIN, INT64_MAX});
  check_items<std::uint64_t>({UINT64_MAX, 7});
  check_items<float>({1.5F, -2.25F});
  check_items<double>({1e300, -0.0});
  check_items<long double>({1.25L, -3.0L});
  check_items<std::complex<float>>({{1, 2}, {3, -4}});
  check_items<std::complex<double>>({{1, 2}, {3, -4}});
  check_items<std::byte>({std::byte{1}, std::byte{2}});
  const std::array<bool, 3> flags{true, false, true};
  const Object frame = encode(NdView::of(flags));
  CHECK(std::ranges::equal(frame.get<NdView>().as<bool>(), flags));
}

TEST_CASE("items of every dtype cross, whether C++ has a type for them or not") {
  const auto bytes = frames::counting_bytes(4096);
  for (const char* text :
       {"|b1",    "|i1", "|u1",  "<i2", ">i2",  "<u2", "<i4",  ">u4",      "<i8",           ">u8",
        "<f2",    ">f2", "<f4",  ">f8", "<f16", "<c8", ">c16", "<c32",     "<M8[ns]",       ">M8[25us]",
        "<m8[D]", "<M8", "|S10", "<U3", ">U1",  "|V5", "|V48", "bfloat16", "float8_e4m3fn", "float8_e5m2"}) {
    CAPTURE(text);
    const DType dtype{std::string_view(text)};
    check_gathering(NdView::contiguous(dtype, {3, 2, 5}, bytes.data()));
    const auto itemsize = static_cast<std::int64_t>(dtype.itemsize());
    check_gathering({dtype, {5, 3}, {itemsize, 5 * itemsize}, bytes.data()});
    check_gathering({dtype, {4, 6}, {-12 * itemsize, -2 * itemsize}, bytes.data() + 60 * itemsize});
  }
}

TEST_CASE("items of a structured dtype cross with their fields") {
  const Json fields = Json::parse(R"([["id","<u2"],["","|V6"],["place","<f8",[3]]])");
  const auto bytes = frames::counting_bytes(320);
  const NdView view = NdView::contiguous(DType::parse(fields), {10}, bytes.data());
  const Object frame = encode(view);
  CHECK(frame.metadata().json["dtype"] == fields);
  CHECK(frame.get<NdView>().dtype.to_json() == fields);
  check_gathering({view.dtype, {5}, {64}, bytes.data()});
}

TEST_CASE("any strides are gathered into C order") {
  const auto numbers = counting(4096);
  const auto* const data = reinterpret_cast<const std::byte*>(numbers.data());
  const DType i4 = DType::of<int>();
  check_gathering({i4, {8, 8}, {4, 32}, data});                      // transposed
  check_gathering({i4, {8, 4}, {64, 4}, data});                      // part of a larger matrix
  check_gathering({i4, {8, 4}, {64, 8}, data});                      // every second item
  check_gathering({i4, {8}, {-4}, data + 400});                      // backwards
  check_gathering({i4, {3, 4, 5}, {-80, 20, -4}, data + 4000});      // mixed directions
  check_gathering({i4, {4, 5}, {0, 4}, data});                       // repeated rows
  check_gathering({i4, {4, 5}, {4, 0}, data});                       // repeated items
  check_gathering({i4, {4, 5}, {0, 0}, data});                       // one item repeated
  check_gathering({i4, {2, 1, 3, 1}, {400, -999, 40, 7777}, data});  // extents of one: any stride
  check_gathering({i4, {2, 3, 4, 5}, {4, 8, 24, 96}, data});         // Fortran order
  check_gathering({i4, {2, 3, 4, 5}, {240, 80, 20, 4}, data});       // C order
  check_gathering({i4, {2, 3, 4, 5}, {480, 160, 20, 4}, data});      // inner dimensions contiguous
  check_gathering({DType("|V12"), {7, 3}, {12, 84}, data});          // items of no register's size
  check_gathering({DType("|u1"), {3, 7, 5}, {1, 15, 3}, data});      // channels first
  check_gathering({DType("<f8"), {3, 3}, {3, 9}, data + 1});         // not aligned
}

TEST_CASE("large transposed arrays are gathered whole") {
  const auto numbers = counting(130 * 67);
  const auto* const data = reinterpret_cast<const std::byte*>(numbers.data());
  check_gathering({DType::of<int>(), {67, 130}, {4, 67 * 4}, data});
  check_gathering({DType::of<int>(), {2, 33, 65}, {130 * 4, 4, 67 * 4}, data});
  check_gathering({DType::of<int>(), {67, 32}, {-4, 67 * 4}, data + 66 * 4});
}

TEST_CASE("arrays without dimensions, without items and with all dimensions cross") {
  const auto numbers = counting(8);
  check_gathering(NdView::contiguous(DType::of<int>(), {}, numbers.data()));
  check_gathering(NdView::contiguous(DType::of<int>(), {0}, nullptr));
  check_gathering(NdView::contiguous(DType::of<int>(), {3, 0, 5}, nullptr));
  check_gathering({DType::of<int>(), {0, 5}, {-20, 123}, nullptr});
  Dims many(shmlane::kMaxDimensions);
  for (auto& extent : many) extent = 1;
  many[5] = 2;
  many[40] = 4;
  check_gathering(NdView::contiguous(DType::of<int>(), many, numbers.data()));
  CHECK_THROWS_AS(Dims(shmlane::kMaxDimensions + 1), InvalidArgument);
}

TEST_CASE("dimensions survive copies and moves, few or many") {
  for (const std::size_t count : {0, 1, 6, 7, 64}) {
    Dims dims(count);
    std::iota(dims.begin(), dims.end(), 10);
    Dims copy = dims;
    CHECK(copy == dims);
    const Dims moved = std::move(copy);
    CHECK(moved == dims);
    CHECK(moved.size() == count);
    copy = moved;
    CHECK(copy == dims);
  }
}

TEST_CASE("reading an array copies nothing") {
  const auto numbers = counting(100);
  const Object frame = encode(NdView::of(numbers));
  CHECK(frame.get<NdView>().data == frame.payload().data());
}

TEST_CASE("items are given out only as what they are") {
  const auto numbers = counting(6);
  const NdView view = NdView::of(numbers, {2, 3});
  CHECK(view.as<int>().size() == 6);
  CHECK(view.bytes().size() == 24);
  CHECK_THROWS_AS((void)view.as<float>(), WrongType);
  CHECK_THROWS_AS((void)view.as<unsigned>(), WrongType);
  CHECK_THROWS_AS((void)(view.at<float>(0, 0)), WrongType);
  NdView swapped = view;
  swapped.dtype = DType(">i4");
  CHECK_THROWS_AS((void)swapped.as<int>(), WrongType);
  const NdView transposed{view.dtype, {3, 2}, {4, 12}, view.data};
  CHECK_THROWS_AS((void)transposed.as<int>(), WrongType);
  CHECK_THROWS_AS((void)transposed.bytes(), WrongType);
  CHECK(transposed.at<int>(2, 1) == 5);
  const NdView shifted = NdView::contiguous(view.dtype, {2}, view.data + 1);
  CHECK_THROWS_AS((void)shifted.as<int>(), WrongType);
}

TEST_CASE("an index outside of the array is refused") {
  const auto numbers = counting(6);
  const NdView view = NdView::of(numbers, {2, 3});
  CHECK(view.at<int>(1, 2) == 5);
  CHECK_THROWS_AS((void)(view.at<int>(2, 0)), InvalidArgument);
  CHECK_THROWS_AS((void)(view.at<int>(0, 3)), InvalidArgument);
  CHECK_THROWS_AS((void)(view.at<int>(0, -1)), InvalidArgument);
  CHECK_THROWS_AS((void)(view.at<int>(0)), InvalidArgument);
  CHECK_THROWS_AS((void)(view.at<int>(0, 0, 0)), InvalidArgument);
}

TEST_CASE("a view that cannot be is refused at push") {
  const auto numbers = counting(6);
  CHECK_THROWS_AS((void)NdView::of(numbers, {7}), InvalidArgument);
  CHECK_THROWS_AS((void)NdView::of(numbers, {-2, -3}), InvalidArgument);
  CHECK_THROWS_AS((void)NdView::contiguous(DType::of<int>(), {INT64_MAX, 2}, numbers.data()), InvalidArgument);
  CHECK_THROWS_AS((void)NdView::contiguous(DType::of<int>(), {0, INT64_MAX}, numbers.data()), InvalidArgument);
  NdView view = NdView::of(numbers);
  view.strides = {};
  CHECK_THROWS_AS(encode(view), InvalidArgument);
  CHECK_THROWS_AS(encode(NdView::contiguous(DType::of<int>(), {3}, nullptr)), InvalidArgument);
}

TEST_CASE("an array whose metadata lies is corrupt") {
  const std::string sixteen(16, 'x');
  for (const char* rest : {R"("dtype":"<f4")",
                           R"("shape":[4])",
                           R"("dtype":"<f4","shape":4)",
                           R"("dtype":"<f4","shape":"4")",
                           R"("dtype":"<f4","shape":null)",
                           R"("dtype":"<f4","shape":{"0":4})",
                           R"("dtype":"<f4","shape":[3])",
                           R"("dtype":"<f4","shape":[5])",
                           R"("dtype":"<f4","shape":[])",
                           R"("dtype":"<f4","shape":[0])",
                           R"("dtype":"<f4","shape":[-4])",
                           R"("dtype":"<f4","shape":[-2,-2])",
                           R"("dtype":"<f4","shape":[4.0])",
                           R"("dtype":"<f4","shape":["4"])",
                           R"("dtype":"<f4","shape":[true])",
                           R"("dtype":"<f4","shape":[[4]])",
                           R"("dtype":"<f4","shape":[4,null])",
                           R"("dtype":"<f4","shape":[18446744073709551615])",
                           R"("dtype":"<f4","shape":[9223372036854775808])",
                           R"("dtype":"<f4","shape":[4611686018427387908])",
                           R"("dtype":"<f4","shape":[4294967296,4294967296,4])",
                           R"("dtype":"<f4","shape":[1e20])",
                           R"("dtype":"<f4","shape":[123456789012345678901234567890])",
                           R"("dtype":"<f4","shape":[0,9223372036854775807])",
                           R"("dtype":"|V0","shape":[16])",
                           R"("dtype":"|O","shape":[2])",
                           R"("dtype":7,"shape":[4])",
                           R"("dtype":null,"shape":[4])",
                           R"("dtype":{},"shape":[4])",
                           R"("dtype":[["x"]],"shape":[4])",
                           R"("dtype":[["x","|O"]],"shape":[2])",
                           R"("dtype":[["x","<f4",[-1]]],"shape":[4])"}) {
    CAPTURE(rest);
    const Object frame = make(std::string(R"({"type":"ndarray",)") + rest + "}", sixteen);
    CHECK_THROWS_AS((void)frame.get<NdView>(), Corrupt);
  }
  for (const char* dtype : {R"("")", R"("<q4")", R"("int4")", R"([["x","int4"]])"}) {
    const Object frame = make(std::string(R"({"type":"ndarray","shape":[4],"dtype":)") + dtype + "}", sixteen);
    CHECK_THROWS_AS((void)frame.get<NdView>(), shmlane::UnsupportedType);
  }
  const Object right = make(R"({"type":"ndarray","dtype":"<f4","shape":[4]})", sixteen);
  CHECK(right.get<NdView>().size() == 4);
}

TEST_CASE("an array of 65 dimensions is corrupt") {
  Json metadata = {{"type", "ndarray"}, {"dtype", "|u1"}, {"shape", std::vector<int>(64, 1)}};
  const Object fits = make(metadata.dump(), "x");
  CHECK(fits.get<NdView>().shape.size() == 64);
  metadata["shape"].push_back(1);
  const Object frame = make(metadata.dump(), "x");
  CHECK_THROWS_AS((void)frame.get<NdView>(), Corrupt);
}

TEST_CASE("items without bytes cannot cross") {
  for (const char* text : {"|S0", "<U0", "|V0"}) {
    CHECK_THROWS_AS(encode(NdView::contiguous(DType(std::string_view(text)), {2}, nullptr)), shmlane::UnsupportedType);
    const Object frame = make(std::string(R"({"type":"ndarray","shape":[2],"dtype":")") + text + "\"}");
    CHECK_THROWS_AS((void)frame.get<NdView>(), Corrupt);
  }
  CHECK_THROWS_AS((void)NdView::contiguous(DType("|S0"), {INT64_MAX, 2}, nullptr), InvalidArgument);
}
