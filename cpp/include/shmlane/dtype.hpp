// SPDX-License-Identifier: Apache-2.0
// DType: what one item of an array is, spelled as NumPy spells it (SPEC section 8, W-84).
#pragma once

#include <complex>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include "shmlane/codec.hpp"
#include "shmlane/export.hpp"

namespace shmlane {

// C++ types that are items of arrays: bool, integers, float, double, long double (x86's), their complex numbers, and
// std::byte, which is an unsigned 8-bit integer.
template <class T>
concept ArrayItem = std::is_arithmetic_v<T> || std::same_as<T, std::byte> || std::same_as<T, std::complex<float>> ||
    std::same_as<T, std::complex<double>> || std::same_as<T, std::complex<long double>>;

// An immutable value; cheap to copy; may be shared by threads.
class SHMLANE_EXPORT DType {
 public:
  DType() : DType('u', 1) {}

  // From NumPy's dtype.str, for instance "<f4", "|b1", "<M8[ns]", "|S10", ">i2", or from "bfloat16", "float8_e4m3fn",
  // "float8_e5m2". Throws UnsupportedType for anything else, also for object ("|O").
  explicit DType(std::string_view text) : DType(from_text(text)) {}

  // From metadata: a string as above, or the list of fields that numpy.lib.format.dtype_to_descr gives for structured
  // dtypes, of which only the size of an item is understood here. Throws UnsupportedType for a name as above,
  // InvalidArgument for what is no such list.
  static DType parse(const Json& json);

  // The dtype of T in this machine's byte order.
  template <ArrayItem T>
  static DType of() {
    return DType(kind_of<T>(), sizeof(T));
  }

  // True if items of this dtype can be read as T in memory as they are.
  template <ArrayItem T>
  [[nodiscard]] bool is() const noexcept {
    return kind_ == kind_of<T>() && itemsize_ == sizeof(T) && byte_order_ != '>';
  }

  // NumPy's letter: b i u f c m M S U V; 'V' for structured ones too; 'x' for the floats of ml_dtypes.
  [[nodiscard]] char kind() const noexcept { return kind_; }
  // '<' or '>', or '|' where the order of bytes means nothing.
  [[nodiscard]] char byte_order() const noexcept { return byte_order_; }
  [[nodiscard]] std::uint64_t itemsize() const noexcept { return itemsize_; }
  [[nodiscard]] bool structured() const noexcept { return fields_ != nullptr; }

  // As given to the constructor; of a structured dtype the compact JSON of its fields.
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  // As metadata holds it.
  [[nodiscard]] Json to_json() const;
  void append_json(std::string& out) const;

  friend bool operator==(const DType& a, const DType& b) noexcept {
    return a.text_ == b.text_ && a.structured() == b.structured();
  }

 private:
  DType(char kind, std::uint64_t itemsize);
  static DType from_text(std::string_view text);

  template <class T>
  static constexpr char kind_of() noexcept {
    if constexpr (std::same_as<T, bool>) return 'b';
    if constexpr (std::same_as<T, std::byte>) return 'u';
    if constexpr (std::is_floating_point_v<T>) return 'f';
    if constexpr (std::is_integral_v<T>) return std::is_signed_v<T> ? 'i' : 'u';
    return 'c';
  }

  std::string text_;
  std::shared_ptr<const Json> fields_;
  std::uint64_t itemsize_ = 0;
  char kind_ = 0;
  char byte_order_ = '|';
};

}  // namespace shmlane
