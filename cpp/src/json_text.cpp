// SPDX-License-Identifier: Apache-2.0
// A writer that counts first and then writes straight into the ring, without a text in between; and a guarded parser.
#include "json_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

#include "shmlane/error.hpp"
#include "utf8.hpp"

namespace shmlane {
namespace {

struct Counter {
  static constexpr bool kChecks = true;  // every value is counted before it is written
  std::uint64_t size = 0;
  void put(std::string_view text) noexcept { size += text.size(); }
};

struct Filler {
  static constexpr bool kChecks = false;
  std::span<std::byte> left;
  void put(std::string_view text) {
    if (text.size() > left.size()) throw InvalidArgument("a json object changed while it was being written");
    std::memcpy(left.data(), text.data(), text.size());
    left = left.subspan(text.size());
  }
};

bool plain(char c) noexcept { return static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\'; }

template <class Sink>
class Writer {
 public:
  explicit Writer(Sink& sink) : sink_(sink) {}

  void value(const Json& json, unsigned depth) {
    switch (json.type()) {
      case Json::value_t::object:
        return object(json, depth);
      case Json::value_t::array:
        return array(json, depth);
      case Json::value_t::string:
        return string(json.get_ref<const std::string&>());
      case Json::value_t::boolean:
        return sink_.put(json.get<bool>() ? "true" : "false");
      case Json::value_t::number_integer:
        return integer(json.get<std::int64_t>());
      case Json::value_t::number_unsigned:
        return integer(json.get<std::uint64_t>());
      case Json::value_t::number_float:
        return real(json.get<double>());
      case Json::value_t::null:
        return sink_.put("null");
      default:
        throw UnsupportedType("binary values are not JSON: push them as bytes, or a map that holds them");
    }
  }

 private:
  void object(const Json& json, unsigned depth) {
    check_depth(depth);
    sink_.put("{");
    bool first = true;
    for (const auto& [key, member] : json.get_ref<const Json::object_t&>()) {
      if (!first) sink_.put(",");
      first = false;
      string(key);
      sink_.put(":");
      value(member, depth + 1);
    }
    sink_.put("}");
  }

  void array(const Json& json, unsigned depth) {
    check_depth(depth);
    sink_.put("[");
    bool first = true;
    for (const Json& item : json) {
      if (!first) sink_.put(",");
      first = false;
      value(item, depth + 1);
    }
    sink_.put("]");
  }

  void string(std::string_view text) {
    if (Sink::kChecks && !valid_utf8(text)) throw InvalidArgument("a string in a json object is not UTF-8");
    sink_.put("\"");
    for (auto at = text.begin(); at != text.end();) {
      const auto end = std::find_if_not(at, text.end(), plain);
      if (end != at) sink_.put({at, end});
      if (end == text.end()) break;
      escaped(*end);
      at = end + 1;
    }
    sink_.put("\"");
  }

  void escaped(char c) {
    static constexpr std::string_view kSpecial = "\"\\\b\f\n\r\t";
    static constexpr std::string_view kLetter = "\"\\bfnrt";
    static constexpr std::string_view kHex = "0123456789abcdef";
    if (const auto i = kSpecial.find(c); i != kSpecial.npos) {
      const std::array<char, 2> text{'\\', kLetter[i]};
      return sink_.put({text.data(), text.size()});
    }
    const auto code = static_cast<unsigned char>(c);
    const std::array<char, 6> text{'\\', 'u', '0', '0', kHex[code >> 4], kHex[code & 15]};
    sink_.put({text.data(), text.size()});
  }

  template <class Integer>
  void integer(Integer number) {
    std::array<char, 24> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
    sink_.put({text.data(), static_cast<std::size_t>(end - text.data())});
  }

  void real(double number) {
    if (!std::isfinite(number)) throw InvalidArgument("NaN and infinities are not JSON: push them in an ndarray");
    std::array<char, 32> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
    const std::string_view digits(text.data(), static_cast<std::size_t>(end - text.data()));
    sink_.put(digits);
    // Otherwise it would come back as an integer.
    if (digits.find_first_of(".e") == digits.npos) sink_.put(".0");
  }

  static void check_depth(unsigned depth) {
    if (depth >= kMaxJsonDepth) {
      throw InvalidArgument("a json object has more than " + std::to_string(kMaxJsonDepth) + " levels");
    }
  }

  Sink& sink_;
};

// True for an integer that the parser would round to a float without a word.
bool beyond_64_bits(std::string_view number) noexcept {
  if (number.size() < 19 || number.find_first_of(".eE") != number.npos) return false;
  const char* const end = number.data() + number.size();
  std::int64_t negative = 0;
  std::uint64_t positive = 0;
  const auto error = number.front() == '-' ? std::from_chars(number.data(), end, negative).ec
                                           : std::from_chars(number.data(), end, positive).ec;
  return error == std::errc::result_out_of_range;
}

// What the parser lets pass: it does not recurse, but whoever copies or writes its result does.
void check_levels_and_integers(std::string_view text) {
  unsigned depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i) i += text[i] == '\\' ? 1 : 0;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxJsonDepth) throw Corrupt("JSON with more than " + std::to_string(kMaxJsonDepth) + " levels");
    } else if (c == ']' || c == '}') {
      depth -= depth > 0 ? 1 : 0;
    } else if (c == '-' || (c >= '0' && c <= '9')) {
      const std::string_view number = text.substr(i, text.find_first_not_of("0123456789+-.eE", i) - i);
      if (beyond_64_bits(number)) throw Corrupt("JSON with an integer beyond 64 bits");
      i += number.size() - 1;
    }
  }
}

}  // namespace

std::uint64_t json_text_size(const Json& value) {
  Counter counter;
  Writer(counter).value(value, 0);
  return counter.size;
}

void write_json_text(const Json& value, std::span<std::byte> out) {
  Filler filler{out};
  Writer(filler).value(value, 0);
  if (!filler.left.empty()) throw InvalidArgument("a json object changed while it was being written");
}

void append_json_text(std::string& out, const Json& value) {
  const std::size_t before = out.size();
  out.resize(before + json_text_size(value));
  write_json_text(value, std::as_writable_bytes(std::span(out)).subspan(before));
}

Json parse_json_text(std::string_view text) {
  // The parser takes a NUL for the end of the text.
  if (text.find('\0') != text.npos) throw Corrupt("not JSON: it has a NUL");
  check_levels_and_integers(text);
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    // what() would repeat the text, which may be long and anything but UTF-8.
    throw Corrupt("not JSON: the text is wrong at byte " + std::to_string(error.byte) + " of " +
                  std::to_string(text.size()));
  } catch (const Json::out_of_range&) {
    throw Corrupt("not JSON: a number is out of range");
  }
}

std::string quoted(std::string_view text) {
  constexpr std::size_t kMost = 80;
  const bool ascii = true;
  return Json(text.substr(0, kMost)).dump(-1, ' ', ascii, Json::error_handler_t::replace);
}

}  // namespace shmlane
