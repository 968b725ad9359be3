// SPDX-License-Identifier: Apache-2.0
// Reading and writing NumPy's names of dtypes.
#include "shmlane/dtype.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "json_text.hpp"
#include "shmlane/error.hpp"

namespace shmlane {
namespace {

// NumPy itself keeps an item's size in a signed word.
constexpr std::uint64_t kMaxItemsize = PTRDIFF_MAX;
constexpr unsigned kMaxFieldDepth = 16;

struct Extension {
  std::string_view name;
  std::uint64_t itemsize;
};
constexpr std::array<Extension, 3> kExtensions{{{"bfloat16", 2}, {"float8_e4m3fn", 1}, {"float8_e5m2", 1}}};

constexpr std::array<std::string_view, 13> kTimeUnits{"Y",  "M",  "W",  "D",  "h",  "m", "s",
                                                      "ms", "us", "ns", "ps", "fs", "as"};

[[noreturn]] void refuse(std::string_view text, const std::string& why) {
  throw UnsupportedType("unsupported dtype " + shmlane::quoted(text) + ": " + why);
}

bool one_of(std::uint64_t size, std::initializer_list<std::uint64_t> sizes) {
  return std::find(sizes.begin(), sizes.end(), size) != sizes.end();
}

// f12 and c24 are what x86-32 calls long double.
bool known_size(char kind, std::uint64_t size) {
  switch (kind) {
    case 'b':
      return size == 1;
    case 'i':
    case 'u':
      return one_of(size, {1, 2, 4, 8});
    case 'f':
      return one_of(size, {2, 4, 8, 12, 16});
    case 'c':
      return one_of(size, {8, 16, 24, 32});
    case 'm':
    case 'M':
      return size == 8;
    default:
      return kind == 'S' || kind == 'U' || kind == 'V';
  }
}

// "[ns]", "[25us]", or nothing for a time without a unit.
bool valid_time_unit(std::string_view text) {
  if (text.empty()) return true;
  if (text.size() < 3 || text.front() != '[' || text.back() != ']') return false;
  text = text.substr(1, text.size() - 2);
  if (text.front() >= '1' && text.front() <= '9') {
    int count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc{}) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  }
  return std::find(kTimeUnits.begin(), kTimeUnits.end(), text) != kTimeUnits.end();
}

// One byte, text of bytes and opaque items have no byte order.
bool has_byte_order(char kind, std::uint64_t number) {
  return kind != 'S' && kind != 'V' && (kind == 'U' || number > 1);
}

[[noreturn]] void refuse_fields(const std::string& why) {
  throw InvalidArgument("the fields of a dtype are wrong: " + why);
}

std::uint64_t product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result) || result > kMaxItemsize) refuse_fields("the items are too large");
  return result;
}

std::uint64_t sum(std::uint64_t a, std::uint64_t b) {
  if (b > kMaxItemsize - a) refuse_fields("the items are too large");
  return a + b;
}

std::uint64_t item_size(const Json& json, unsigned depth);

// ["name", dtype] or ["name", dtype, [shape]]; the name may be ["title", "name"].
std::uint64_t field_size(const Json& field, unsigned depth) {
  const bool whole = field.is_array() && (field.size() == 2 || field.size() == 3);
  if (!whole) refuse_fields("a field is not [name, dtype] or [name, dtype, shape]");
  const Json& name = field[0];
  const bool titled = name.is_array() && name.size() == 2 && name[0].is_string() && name[1].is_string();
  if (!name.is_string() && !titled) refuse_fields("the name of a field is not a string");
  std::uint64_t size = item_size(field[1], depth);
  if (field.size() == 2) return size;
  if (!field[2].is_array()) refuse_fields("the shape of a field is not a list");
  for (const Json& extent : field[2]) {
    if (!extent.is_number_integer() || extent < 0) refuse_fields("the shape of a field has a wrong number");
    size = product(size, extent.get<std::uint64_t>());
  }
  return size;
}

std::uint64_t item_size(const Json& json, unsigned depth) {
  if (json == "|O") refuse_fields("Python objects cannot cross");
  if (json.is_string()) return DType(json.get_ref<const std::string&>()).itemsize();
  if (!json.is_array()) refuse_fields("a dtype is neither a string nor a list of fields");
  if (depth > kMaxFieldDepth) refuse_fields("they are nested too deeply");
  std::uint64_t size = 0;
  for (const Json& field : json) size = sum(size, field_size(field, depth + 1));
  return size;
}

}  // namespace

DType::DType(char kind, std::uint64_t itemsize)
    : itemsize_(itemsize), kind_(kind), byte_order_(has_byte_order(kind, itemsize) ? '<' : '|') {
  std::array<char, 24> number{};
  const auto end = std::to_chars(number.data(), number.data() + number.size(), itemsize).ptr;
  text_.append({byte_order_, kind_}).append(number.data(), end);
}

DType DType::from_text(std::string_view text) {
  DType result;
  result.text_ = text;
  for (const Extension& extension : kExtensions) {
    if (text != extension.name) continue;
    result.kind_ = 'x';
    result.itemsize_ = extension.itemsize;
    result.byte_order_ = extension.itemsize > 1 ? '<' : '|';
    return result;
  }
  if (text == "|O" || text == "O" || text == "object") refuse(text, "Python objects cannot cross");
  const bool leading_zero = text.size() > 3 && text[2] == '0';
  if (text.size() < 3 || leading_zero) refuse(text, "not a name that NumPy gives");
  const char order = text[0];
  const char kind = text[1];
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data() + 2, end, number);
  const bool timed = kind == 'm' || kind == 'M';
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  if (error != std::errc{} || !known_size(kind, number) || !(timed ? valid_time_unit(unit) : unit.empty())) {
    refuse(text, "not a name that NumPy gives");
  }
  const bool ordered = has_byte_order(kind, number);
  if (ordered ? order != '<' && order != '>' : order != '|') {
    refuse(text, "its byte order is not written as NumPy writes it");
  }
  result.kind_ = kind;
  result.byte_order_ = order;
  const std::uint64_t unit_size = kind == 'U' ? 4 : 1;
  if (number > kMaxItemsize / unit_size) refuse(text, "its items are too large");
  result.itemsize_ = number * unit_size;
  return result;
}

DType DType::parse(const Json& json) {
  if (json.is_string()) return DType(json.get_ref<const std::string&>());
  DType result;
  result.itemsize_ = item_size(json, 0);
  result.kind_ = 'V';
  result.byte_order_ = '|';
  result.text_.clear();
  append_json_text(result.text_, json);
  result.fields_ = std::make_shared<const Json>(json);
  return result;
}

Json DType::to_json() const { return fields_ ? *fields_ : Json(text_); }

void DType::append_json(std::string& out) const {
  if (fields_) {
    out += text_;
  } else {
    out.append(1, '"').append(text_).append(1, '"');
  }
}

}  // namespace shmlane
