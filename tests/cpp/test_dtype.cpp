// SPDX-License-Identifier: Apache-2.0
// DType against the names that NumPy gives to its dtypes.
#include <doctest/doctest.h>

#include <limits>

#include "shmlane/dtype.hpp"
#include "shmlane/error.hpp"

using shmlane::DType;
using shmlane::Json;

namespace {

struct Known {
  const char* text;
  char kind;
  char byte_order;
  std::uint64_t itemsize;
};

// dtype.str, kind, byteorder and itemsize as NumPy 2 prints them on x86-64.
constexpr Known kKnown[] = {
    {"|b1", 'b', '|', 1},     {"|i1", 'i', '|', 1},      {"|u1", 'u', '|', 1},         {"<i2", 'i', '<', 2},
    {"<u2", 'u', '<', 2},     {"<i4", 'i', '<', 4},      {"<u4", 'u', '<', 4},         {"<i8", 'i', '<', 8},
    {"<u8", 'u', '<', 8},     {">i2", 'i', '>', 2},      {">u8", 'u', '>', 8},         {"<f2", 'f', '<', 2},
    {"<f4", 'f', '<', 4},     {"<f8", 'f', '<', 8},      {"<f16", 'f', '<', 16},       {">f4", 'f', '>', 4},
    {"<c8", 'c', '<', 8},     {"<c16", 'c', '<', 16},    {"<c32", 'c', '<', 32},       {">c16", 'c', '>', 16},
    {"<M8[ns]", 'M', '<', 8}, {"<M8[D]", 'M', '<', 8},   {"<M8[25us]", 'M', '<', 8},   {"<M8", 'M', '<', 8},
    {">M8[s]", 'M', '>', 8},  {"<m8[ms]", 'm', '<', 8},  {"<m8[as]", 'm', '<', 8},     {"|S10", 'S', '|', 10},
    {"|S0", 'S', '|', 0},     {"<U3", 'U', '<', 12},     {"<U0", 'U', '<', 0},         {">U1", 'U', '>', 4},
    {"|V16", 'V', '|', 16},   {"bfloat16", 'x', '<', 2}, {"float8_e5m2", 'x', '|', 1}, {"float8_e4m3fn", 'x', '|', 1},
};

constexpr const char* kRefused[] = {
    "",
    "<",
    "<f",
    "f4",
    "<f4 ",
    "<f3",
    "<i3",
    "|i4",
    "=i4",
    "<u1",
    ">b1",
    "<S3",
    "<V3",
    "|U3",
    "<i16",
    "<b1",
    "|b2",
    "<M4[ns]",
    "<M8[",
    "<M8[]",
    "<M8]",
    "<M8[xx]",
    "<M8[0s]",
    "<f4[s]",
    "<f04",
    "<f-4",
    "<f+4",
    "float32",
    "<M8[99999999999s]",
    "|S-1",
    "|S1x",
    "<U4611686018427387904",
    "|S9223372036854775808",
    "|S99999999999999999999",
    "|O",
    "|O8",
    "object",
    "\xff\xfe\xfd",
};

Json parsed(const char* text) { return Json::parse(text); }

}  // namespace

TEST_CASE("every plain dtype of NumPy is known with its kind, byte order and size") {
  for (const Known& known : kKnown) {
    CAPTURE(known.text);
    const DType dtype(known.text);
    CHECK(dtype.text() == known.text);
    CHECK(dtype.kind() == known.kind);
    CHECK(dtype.byte_order() == known.byte_order);
    CHECK(dtype.itemsize() == known.itemsize);
    CHECK_FALSE(dtype.structured());
    CHECK(dtype.to_json() == Json(known.text));
    CHECK(DType::parse(dtype.to_json()) == dtype);
  }
}

TEST_CASE("any other name is refused") {
  for (const char* text : kRefused) {
    CAPTURE(text);
    CHECK_THROWS_AS(DType{std::string_view(text)}, shmlane::UnsupportedType);
  }
  CHECK_THROWS_WITH_AS(DType("|O"), "unsupported dtype \"|O\": Python objects cannot cross", shmlane::UnsupportedType);
}

TEST_CASE("the error for a dtype shows only a printable beginning of its name") {
  const std::string hostile = std::string("\x1b[2J\xff") + std::string(100000, 'x');
  try {
    const DType dtype(hostile);
    FAIL("not refused: ", dtype.text());
  } catch (const shmlane::UnsupportedType& error) {
    const std::string_view text = error.what();
    CHECK(text.size() < 300);
    CHECK(text.find('\x1b') == text.npos);
  }
}

TEST_CASE("each C++ type of items has the dtype that NumPy calls the same") {
  CHECK(DType::of<bool>().text() == "|b1");
  CHECK(DType::of<std::int8_t>().text() == "|i1");
  CHECK(DType::of<std::uint8_t>().text() == "|u1");
  CHECK(DType::of<std::byte>().text() == "|u1");
  CHECK(DType::of<std::int16_t>().text() == "<i2");
  CHECK(DType::of<std::uint16_t>().text() == "<u2");
  CHECK(DType::of<std::int32_t>().text() == "<i4");
  CHECK(DType::of<std::uint32_t>().text() == "<u4");
  CHECK(DType::of<std::int64_t>().text() == "<i8");
  CHECK(DType::of<std::uint64_t>().text() == "<u8");
  CHECK(DType::of<float>().text() == "<f4");
  CHECK(DType::of<double>().text() == "<f8");
  CHECK(DType::of<std::complex<float>>().text() == "<c8");
  CHECK(DType::of<std::complex<double>>().text() == "<c16");
  CHECK(DType::of<long double>() == DType("<f" + std::to_string(sizeof(long double))));
  CHECK(DType::of<float>() == DType("<f4"));
}

TEST_CASE("items are a C++ type only if kind, size and byte order agree") {
  CHECK(DType("<f4").is<float>());
  CHECK_FALSE(DType(">f4").is<float>());
  CHECK_FALSE(DType("<i4").is<float>());
  CHECK_FALSE(DType("<f8").is<float>());
  CHECK_FALSE(DType("bfloat16").is<std::uint16_t>());
  CHECK_FALSE(DType("|b1").is<std::uint8_t>());
  CHECK_FALSE(DType("|V4").is<std::int32_t>());
  CHECK_FALSE(DType("|S1").is<std::byte>());
  CHECK(DType("|u1").is<std::byte>());
}

TEST_CASE("a structured dtype knows the size of its items") {
  CHECK(DType::parse(parsed(R"([["x","<f4"],["y","<f4"]])")).itemsize() == 8);
  CHECK(DType::parse(parsed(R"([["id","<u2"],["","|V6"],["place","<f8",[2,3]]])")).itemsize() == 2 + 6 + 48);
  CHECK(DType::parse(parsed(R"([["inner",[["a","|u1"],["b","<c8"]],[4]],[["title","t"],"<M8[ns]"]])")).itemsize() ==
        44);
  CHECK(DType::parse(parsed(R"([["none","<f8",[0,7]]])")).itemsize() == 0);
  CHECK(DType::parse(parsed("[]")).itemsize() == 0);
}

TEST_CASE("a structured dtype keeps its fields as they came") {
  const Json fields = parsed(R"([["größe","<f4"],["y",[["z",">i2",[3]]]]])");
  const DType dtype = DType::parse(fields);
  CHECK(dtype.structured());
  CHECK(dtype.kind() == 'V');
  CHECK(dtype.to_json() == fields);
  std::string text;
  dtype.append_json(text);
  CHECK(text == fields.dump());
  CHECK(dtype == DType::parse(fields));
  CHECK_FALSE(dtype == DType::parse(parsed(R"([["a","<f4"]])")));
}

TEST_CASE("broken structured dtypes are refused") {
  for (const char* text : {"7",
                           "null",
                           "{}",
                           "true",
                           "1.5",
                           "[7]",
                           R"(["<f4"])",
                           R"([["x"]])",
                           R"([["x","<f4",[1],2]])",
                           R"([[7,"<f4"]])",

                           R"([["x","<f4",3]])",
                           R"([["x","<f4",[-1]]])",
                           R"([["x","<f4",[1.0]]])",
                           R"([["x","<f4",["2"]]])",
                           R"([["x",null]])",
                           R"([[["only"],"<f4"]])",
                           R"([[["a",1],"<f4"]])",
                           R"([["x","<f8",[4611686018427387904]]])",
                           R"([["x","<f8",[4294967296,4294967296,4294967296]]])",
                           R"([["x","<f8",[18446744073709551615]]])",
                           R"([["x","|S9223372036854775807"],["y","|S1"]])"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(DType::parse(parsed(text)), shmlane::InvalidArgument);
  }
  CHECK_THROWS_AS(DType::parse(parsed(R"([["x","|O"]])")), shmlane::InvalidArgument);
  CHECK_THROWS_AS(DType::parse(parsed(R"([["x","int4"]])")), shmlane::UnsupportedType);
}

TEST_CASE("fields nested without end are refused before they exhaust the stack") {
  Json fields = "<f4";
  for (int i = 0; i < 400; ++i) fields = Json::array({Json::array({"x", fields})});
  CHECK_THROWS_AS(DType::parse(fields), shmlane::InvalidArgument);
}
