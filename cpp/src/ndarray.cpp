// SPDX-License-Identifier: Apache-2.0
// Views of arrays, and gathering them into C order.
#include "shmlane/ndarray.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "fields.hpp"

namespace shmlane {
namespace {

// Items of a shape. As in NumPy, an empty array's other extents must still multiply to a sensible number, so that
// strides exist. nullopt if there is none.
std::optional<std::uint64_t> count_items(const Dims& shape, std::uint64_t itemsize) noexcept {
  std::optional<std::uint64_t> spanned = itemsize;
  std::uint64_t items = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0) return std::nullopt;
    const auto length = static_cast<std::uint64_t>(extent);
    if (length != 0) spanned = checked_product(*spanned, length);
    if (!spanned) return std::nullopt;
    // Items without a size escape the check above.
    const auto product = checked_product(items, length);
    if (!product) return std::nullopt;
    items = *product;
  }
  return items;
}

Dims c_strides(const Dims& shape, std::uint64_t itemsize) {
  Dims strides(shape.size());
  auto stride = static_cast<std::int64_t>(itemsize);
  for (std::size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    if (shape[i] != 0) stride *= shape[i];
  }
  return strides;
}

// Walks a strided array once in C order. Dimensions that lie in memory as one are merged first.
class Gather {
 public:
  Gather(const NdView& view, std::byte* out) : run_(view.dtype.itemsize()), out_(out) {
    for (std::size_t i = 0; i < view.shape.size(); ++i) {
      if (view.shape[i] != 1) add({view.shape[i], view.strides[i]});
    }
    if (count_ != 0 && axes_[count_ - 1].stride == static_cast<std::int64_t>(run_)) {
      run_ *= static_cast<std::uint64_t>(axes_[--count_].extent);
    }
    copy(0, view.data);
  }

 private:
  struct Axis {
    std::int64_t extent;
    std::int64_t stride;
  };
  static constexpr std::int64_t kColumns = 32;

  void add(Axis axis) noexcept {
    if (count_ != 0 && axes_[count_ - 1].stride == axis.stride * axis.extent) {
      axes_[count_ - 1] = {axes_[count_ - 1].extent * axis.extent, axis.stride};
    } else {
      axes_[count_++] = axis;
    }
  }

  void copy(std::size_t depth, const std::byte* from) noexcept {
    if (depth == count_) {
      std::memcpy(out_, from, run_);
      out_ += run_;
    } else if (depth + 1 == count_) {
      copy_runs(axes_[depth], from);
    } else if (depth + 2 == count_) {
      copy_plane(axes_[depth], axes_[depth + 1], from);
    } else {
      const Axis& axis = axes_[depth];
      for (std::int64_t i = 0; i < axis.extent; ++i) copy(depth + 1, from + i * axis.stride);
    }
  }

  // Where neighbours in memory lie along the outer dimension, as in a transposed matrix, a few columns at a time: their
  // cache lines are then still there when the next row wants them.
  void copy_plane(const Axis& outer, const Axis& inner, const std::byte* from) noexcept {
    const bool across = std::abs(outer.stride) < std::abs(inner.stride);
    const std::int64_t width = across ? kColumns : inner.extent;
    std::byte* const start = out_;
    for (std::int64_t left = 0; left < inner.extent; left += width) {
      const Axis part{std::min(width, inner.extent - left), inner.stride};
      for (std::int64_t row = 0; row < outer.extent; ++row) {
        out_ = start + static_cast<std::uint64_t>(row * inner.extent + left) * run_;
        copy_runs(part, from + row * outer.stride + left * inner.stride);
      }
    }
  }

  void copy_runs(const Axis& axis, const std::byte* from) noexcept {
    switch (run_) {
      case 1:
        return copy_items<1>(axis, from);
      case 2:
        return copy_items<2>(axis, from);
      case 4:
        return copy_items<4>(axis, from);
      case 8:
        return copy_items<8>(axis, from);
      case 16:
        return copy_items<16>(axis, from);
      default:
        for (std::int64_t i = 0; i < axis.extent; ++i, out_ += run_) std::memcpy(out_, from + i * axis.stride, run_);
    }
  }

  // A length known to the compiler makes a memcpy one load and one store.
  template <std::size_t kLength>
  void copy_items(const Axis& axis, const std::byte* from) noexcept {
    std::byte* out = out_;
    for (std::int64_t i = 0; i < axis.extent; ++i, out += kLength) std::memcpy(out, from + i * axis.stride, kLength);
    out_ = out;
  }

  std::size_t run_;  // bytes that lie together
  std::byte* out_;
  std::size_t count_ = 0;
  std::array<Axis, kMaxDimensions> axes_;
};

void append_number(std::string& out, std::int64_t number) {
  std::array<char, 24> text{};
  out.append(text.data(), std::to_chars(text.data(), text.data() + text.size(), number).ptr);
}

}  // namespace

NdView NdView::contiguous(DType dtype, Dims shape, const void* data) {
  NdView view{std::move(dtype), std::move(shape), {}, static_cast<const std::byte*>(data)};
  static_cast<void>(view.nbytes());
  view.strides = c_strides(view.shape, view.dtype.itemsize());
  return view;
}

std::uint64_t NdView::size() const {
  const auto items = count_items(shape, dtype.itemsize());
  if (!items) throw InvalidArgument("the shape of an array has a negative extent, or more items than memory can hold");
  return *items;
}

std::uint64_t NdView::nbytes() const { return size() * dtype.itemsize(); }

bool NdView::is_c_contiguous() const noexcept {
  if (strides.size() != shape.size()) return false;
  const auto items = count_items(shape, dtype.itemsize());
  if (!items || *items == 0) return items.has_value();
  auto stride = static_cast<std::int64_t>(dtype.itemsize());
  for (std::size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1 && strides[i] != stride) return false;
    stride *= shape[i];
  }
  return true;
}

void NdView::check(bool right_dtype, std::size_t alignment) const {
  if (!right_dtype) throw WrongType("the items of the array are " + dtype.text() + ", not of the type asked for");
  if (!is_c_contiguous()) throw WrongType("the array is not C-contiguous: use at(), or copy it first");
  if (reinterpret_cast<std::uintptr_t>(data) % alignment != 0) {
    throw WrongType("the array's items are not aligned for their type: use at(), or copy it first");
  }
}

const std::byte* NdView::locate(bool right_dtype, std::span<const std::int64_t> place) const {
  if (!right_dtype) throw WrongType("the items of the array are " + dtype.text() + ", not of the type asked for");
  if (place.size() != shape.size() || strides.size() != shape.size()) {
    throw InvalidArgument("an array of " + std::to_string(shape.size()) + " dimensions was given " +
                          std::to_string(place.size()) + " indices");
  }
  const std::byte* item = data;
  for (std::size_t i = 0; i < place.size(); ++i) {
    if (place[i] < 0 || place[i] >= shape[i]) {
      throw InvalidArgument("index " + std::to_string(place[i]) + " is outside of an extent of " +
                            std::to_string(shape[i]));
    }
    item += place[i] * strides[i];
  }
  return item;
}

std::string Codec<NdView>::metadata(const NdView& view) {
  if (view.strides.size() != view.shape.size()) throw InvalidArgument("an array needs one stride per dimension");
  if (view.nbytes() != 0 && view.data == nullptr)
    throw InvalidArgument("an array of " + std::to_string(view.nbytes()) + " bytes has no data");
  if (view.dtype.itemsize() == 0) throw UnsupportedType("items of dtype " + view.dtype.text() + " have no bytes");
  // By hand, because this runs once per push and a JSON tree would cost more than a small array's copy.
  std::string text;
  text.reserve(64);
  text += R"({"type":"ndarray","dtype":)";
  view.dtype.append_json(text);
  text += R"(,"shape":[)";
  for (std::size_t i = 0; i < view.shape.size(); ++i) {
    if (i != 0) text += ',';
    append_number(text, view.shape[i]);
  }
  return text += "]}";
}

std::optional<std::span<const std::byte>> Codec<NdView>::bytes(const NdView& view) {
  if (!view.is_c_contiguous()) return std::nullopt;
  return std::span(view.data, view.nbytes());
}

void Codec<NdView>::write(const NdView& view, std::span<std::byte> out) {
  if (out.size() != view.nbytes() || view.strides.size() != view.shape.size()) {
    throw InvalidArgument("an array changed while it was being written");
  }
  if (out.empty()) return;
  Gather(view, out.data());
}

NdView Codec<NdView>::read(const Metadata& metadata, std::span<const std::byte> payload) {
  expect_type(metadata, "ndarray");
  return read_ndarray(metadata.json, payload);
}

NdView read_ndarray(const Json& metadata, std::span<const std::byte> payload) {
  const Fields fields(metadata);
  const Json& extents = fields.list("shape");
  if (extents.size() > kMaxDimensions) fields.corrupt("it has more than 64 dimensions");
  NdView view{fields.dtype(), Dims(extents.size()), {}, payload.data()};
  for (std::size_t i = 0; i < extents.size(); ++i) {
    const auto extent = to_length(extents[i]);
    if (!extent) fields.corrupt("its shape is not a list of lengths");
    view.shape[i] = static_cast<std::int64_t>(*extent);
  }
  const auto items = count_items(view.shape, view.dtype.itemsize());
  if (!items || *items * view.dtype.itemsize() != payload.size()) {
    fields.corrupt("its shape and dtype need another payload than the " + std::to_string(payload.size()) +
                   " bytes there are");
  }
  view.strides = c_strides(view.shape, view.dtype.itemsize());
  return view;
}

}  // namespace shmlane
