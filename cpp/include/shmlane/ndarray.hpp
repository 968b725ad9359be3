// SPDX-License-Identifier: Apache-2.0
// NdView: an n-dimensional array that lies somewhere else, and its codec (W-84).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shmlane/codec.hpp"
#include "shmlane/dtype.hpp"
#include "shmlane/error.hpp"
#include "shmlane/export.hpp"

namespace shmlane {

inline constexpr std::size_t kMaxDimensions = 64;  // NumPy's limit

// Lengths or strides, one number per dimension; up to six without an allocation.
class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<std::int64_t> numbers) : Dims(std::span(numbers.begin(), numbers.size())) {}
  // Throws InvalidArgument beyond kMaxDimensions.
  explicit Dims(std::span<const std::int64_t> numbers) : Dims(numbers.size()) {
    std::copy(numbers.begin(), numbers.end(), begin());
  }
  // `count` zeros. Throws InvalidArgument beyond kMaxDimensions.
  explicit Dims(std::size_t count) {
    if (count > kMaxDimensions) throw InvalidArgument("an array has at most 64 dimensions");
    if (count > few_.size()) {
      many_.resize(count);
    } else {
      count_ = count;
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return many_.empty() ? count_ : many_.size(); }
  [[nodiscard]] std::int64_t* begin() noexcept { return many_.empty() ? few_.data() : many_.data(); }
  [[nodiscard]] std::int64_t* end() noexcept { return begin() + size(); }
  [[nodiscard]] const std::int64_t* begin() const noexcept { return many_.empty() ? few_.data() : many_.data(); }
  [[nodiscard]] const std::int64_t* end() const noexcept { return begin() + size(); }
  std::int64_t& operator[](std::size_t i) noexcept { return begin()[i]; }
  std::int64_t operator[](std::size_t i) const noexcept { return begin()[i]; }
  friend bool operator==(const Dims& a, const Dims& b) noexcept { return std::ranges::equal(a, b); }

 private:
  std::size_t count_ = 0;  // 0 while many_ is in use
  std::array<std::int64_t, 6> few_{};
  std::vector<std::int64_t> many_;
};

// Borrows its items; whoever owns them (a Lease, an Object, the caller) must outlive it. Not a container: copies share
// the items. The members may be set freely; the functions and the codec check them.
struct SHMLANE_EXPORT NdView {
  DType dtype;
  Dims shape;    // items; empty for a single item without dimensions
  Dims strides;  // bytes; may be negative or zero; one per dimension
  const std::byte* data = nullptr;

  // Items in C order at `data`. Throws InvalidArgument for negative or too many items.
  static NdView contiguous(DType dtype, Dims shape, const void* data);

  // A vector, span or array of items, as one dimension or in the given shape. Throws InvalidArgument if it has not as
  // many items as the shape.
  template <std::ranges::contiguous_range R>
    requires ArrayItem<std::ranges::range_value_t<R>> && std::ranges::borrowed_range<R>
  static NdView of(R&& items, const Dims& shape) {
    NdView view = contiguous(DType::of<std::ranges::range_value_t<R>>(), shape, std::ranges::data(items));
    if (view.size() != std::ranges::size(items)) throw InvalidArgument("the shape needs another number of items");
    return view;
  }
  template <std::ranges::contiguous_range R>
    requires ArrayItem<std::ranges::range_value_t<R>> && std::ranges::borrowed_range<R>
  static NdView of(R&& items) { return of(items, Dims{static_cast<std::int64_t>(std::ranges::size(items))}); }

  // Items, and the bytes they take. Throw InvalidArgument if that is no sensible number.
  [[nodiscard]] std::uint64_t size() const;
  [[nodiscard]] std::uint64_t nbytes() const;
  [[nodiscard]] bool is_c_contiguous() const noexcept;

  // The items of a C-contiguous view as they lie in memory. Throws WrongType if it is not contiguous, or if T is not
  // its dtype in this machine's byte order.
  template <ArrayItem T>
  [[nodiscard]] std::span<const T> as() const {
    check(dtype.is<T>(), alignof(T));
    return {reinterpret_cast<const T*>(data), static_cast<std::size_t>(size())};
  }
  [[nodiscard]] std::span<const std::byte> bytes() const {
    check(true, 1);
    return {data, static_cast<std::size_t>(nbytes())};
  }

  // One item; as many indices as there are dimensions. Throws WrongType as above, InvalidArgument for a wrong index.
  template <ArrayItem T, std::convertible_to<std::int64_t>... Index>
  [[nodiscard]] T at(Index... indices) const {
    const std::array<std::int64_t, sizeof...(Index)> place{static_cast<std::int64_t>(indices)...};
    T item;
    std::memcpy(&item, locate(dtype.is<T>(), place), sizeof item);
    return item;
  }

 private:
  void check(bool right_dtype, std::size_t alignment) const;
  [[nodiscard]] const std::byte* locate(bool right_dtype, std::span<const std::int64_t> place) const;
};

// Pushing gathers any strides into C order, straight into the ring. Reading borrows the payload; it throws Corrupt, or
// UnsupportedType for a dtype that is unknown here. Items without bytes ("|S0") cannot cross.
template <>
struct SHMLANE_EXPORT Codec<NdView> {
  static std::string metadata(const NdView& view);
  static std::uint64_t payload_size(const NdView& view) { return view.nbytes(); }
  static void write(const NdView& view, std::span<std::byte> out);
  static std::optional<std::span<const std::byte>> bytes(const NdView& view);
  static NdView read(const Metadata& metadata, std::span<const std::byte> payload);
};

}  // namespace shmlane
