// SPDX-License-Identifier: Apache-2.0
// Plain arrays: their canonical metadata, written and read without a JSON parser (SPEC section 8).
#include "plain_array.hpp"

#include <pybind11/gil_safe_call_once.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "gil.hpp"
#include "shmlane/error.hpp"

namespace shmlane::bindings {
namespace {

constexpr std::string_view kHead = R"({"type":"ndarray","dtype":")";
constexpr std::string_view kMiddle = R"(","shape":[)";
constexpr std::string_view kTail = "]}";
constexpr std::string_view kKinds = "biufcSUmM";
constexpr int kBuiltinDtypes = 24;  // NumPy numbers its own below this; what others register comes far above
constexpr std::size_t kMaxMetadata = 512;
constexpr std::size_t kMaxDimensions = 32;

// Appends to a text of fixed room and remembers whether all of it fitted.
class Text {
 public:
  explicit Text(std::span<char> room) : room_(room) {}
  void append(std::string_view part) {
    fits_ = fits_ && part.size() <= room_.size() - used_;
    if (!fits_) return;
    std::memcpy(room_.data() + used_, part.data(), part.size());
    used_ += part.size();
  }
  void append(std::int64_t number) {
    const auto [end, error] = std::to_chars(room_.data() + used_, room_.data() + room_.size(), number);
    fits_ = fits_ && error == std::errc{};
    if (fits_) used_ = static_cast<std::size_t>(end - room_.data());
  }
  [[nodiscard]] std::string_view view() const { return fits_ ? std::string_view(room_.data(), used_) : ""; }

 private:
  std::span<char> room_;
  std::size_t used_ = 0;
  bool fits_ = true;
};

// numpy.dtype.str without a call into NumPy, but for the units of times.
void append_dtype(Text& text, const py::dtype& dtype) {
  const char kind = dtype.kind();
  if (kind == 'm' || kind == 'M') return text.append(dtype.attr("str").cast<std::string>());
  const char order = dtype.byteorder() == '=' ? '<' : dtype.byteorder();
  const char opening[] = {order, kind};
  text.append({opening, sizeof opening});
  constexpr py::ssize_t kBytesPerCharacter = 4;
  text.append(static_cast<std::int64_t>(kind == 'U' ? dtype.itemsize() / kBytesPerCharacter : dtype.itemsize()));
}

// Takes what metadata is made of off its front.
struct Cursor {
  std::string_view rest;

  bool skip(std::string_view expected) {
    if (!rest.starts_with(expected)) return false;
    rest.remove_prefix(expected.size());
    return true;
  }
  bool number(std::int64_t& value) {
    const char* end = rest.data() + rest.size();
    if (rest.empty() || rest[0] == '-' || (rest[0] == '0' && rest.size() > 1 && rest[1] >= '0' && rest[1] <= '9')) {
      return false;
    }
    const auto [stop, error] = std::from_chars(rest.data(), end, value);
    rest = std::string_view(stop, static_cast<std::size_t>(end - stop));
    return error == std::errc{};
  }
};

struct ArrayMetadata {
  std::string_view dtype;
  std::array<py::ssize_t, kMaxDimensions> shape;
  int dimensions = 0;
};

bool parse_shape(Cursor& cursor, ArrayMetadata& out) {
  if (cursor.skip(kTail)) return cursor.rest.empty();
  for (;;) {
    std::int64_t extent = 0;
    if (out.dimensions == static_cast<int>(kMaxDimensions) || !cursor.number(extent)) return false;
    out.shape[static_cast<std::size_t>(out.dimensions++)] = extent;
    if (cursor.skip(kTail)) return cursor.rest.empty();
    if (!cursor.skip(",")) return false;
  }
}

bool parse_array_metadata(std::string_view text, ArrayMetadata& out) {
  Cursor cursor{text};
  if (!cursor.skip(kHead)) return false;
  const std::size_t length = cursor.rest.find('"');
  if (length == std::string_view::npos) return false;
  out.dtype = cursor.rest.substr(0, length);
  cursor.rest.remove_prefix(length);
  return cursor.skip(kMiddle) && parse_shape(cursor, out);
}

// The dtypes that nearly every array has, looked up once; never changed afterwards, never freed.
class CommonDtypes {
 public:
  CommonDtypes() {
    std::ranges::transform(kNames, dtypes_.begin(),
                           [](std::string_view name) { return py::dtype(std::string(name)).release().ptr(); });
  }
  [[nodiscard]] PyObject* find(std::string_view name) const noexcept {
    const auto found = std::ranges::find(kNames, name);
    return found == kNames.end() ? nullptr : dtypes_[static_cast<std::size_t>(found - kNames.begin())];
  }

 private:
  static constexpr std::array<std::string_view, 14> kNames = {"|u1", "<f4", "<f8", "<i8", "<i4", "<u2", "|b1",
                                                              "|i1", "<i2", "<u4", "<u8", "<f2", "<c8", "<c16"};
  std::array<PyObject*, kNames.size()> dtypes_{};
};

const CommonDtypes& common_dtypes() {
  PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<CommonDtypes> storage;
  return storage.call_once_and_store_result([] { return CommonDtypes(); }).get_stored();
}

// A dtype only from text that NumPy itself would write for a plain one: its parser takes far more than that.
py::object find_dtype(std::string_view name) {
  if (PyObject* common = common_dtypes().find(name)) return py::reinterpret_borrow<py::object>(common);
  constexpr std::size_t kShortest = 3;
  if (name.size() < kShortest || std::string_view("<>|").find(name[0]) == std::string_view::npos ||
      kKinds.find(name[1]) == std::string_view::npos || name[2] < '0' || name[2] > '9') {
    return {};
  }
  try {
    py::object dtype = py::dtype(std::string(name));
    const bool canonical = dtype.attr("str").cast<std::string>() == name;
    return canonical ? dtype : py::object();
  } catch (const py::error_already_set&) {
    return {};
  }
}

// Bytes of an array, or nothing if they do not fit in a signed word: NumPy counts an empty array's other extents, too.
bool array_size(const ArrayMetadata& metadata, std::uint64_t itemsize, std::uint64_t& size) {
  std::uint64_t product = itemsize;
  bool empty = false;
  for (int i = 0; i < metadata.dimensions; ++i) {
    const auto extent = static_cast<std::uint64_t>(metadata.shape[static_cast<std::size_t>(i)]);
    empty = empty || extent == 0;
    if (extent != 0 && __builtin_mul_overflow(product, extent, &product)) return false;
  }
  size = empty ? 0 : product;
  return product <= static_cast<std::uint64_t>(std::numeric_limits<py::ssize_t>::max());
}

// What a frame with canonical metadata says it is.
struct Described {
  py::object dtype;
  ArrayMetadata metadata;
};

// Nothing in it if the metadata is not what array_metadata() writes. Throws Corrupt if the payload does not fit it.
Described describe(const FrameView& frame) {
  std::array<char, kMaxMetadata> copy;
  Described found;
  if (frame.metadata.size() > copy.size()) return found;
  std::memcpy(copy.data(), frame.metadata.data(), frame.metadata.size());
  const std::string_view text(copy.data(), frame.metadata.size());
  if (!parse_array_metadata(text, found.metadata)) return found;
  py::object dtype = find_dtype(found.metadata.dtype);
  if (!dtype) return found;
  const auto itemsize = static_cast<std::uint64_t>(py::reinterpret_borrow<py::dtype>(dtype).itemsize());
  if (itemsize == 0) return found;
  std::uint64_t size = 0;
  if (!array_size(found.metadata, itemsize, size) || size != frame.payload.size()) {
    throw Corrupt("an ndarray's payload of " + std::to_string(frame.payload.size()) +
                  " bytes is not what its metadata says: " + std::string(text));
  }
  found.dtype = std::move(dtype);
  return found;
}

// Over `data`, or over memory of its own if that is null.
py::array make_array(const Described& found, const void* data) {
  auto& numpy = py::detail::npy_api::get();
  constexpr int kReadOnly = py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  PyObject* array = numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, py::object(found.dtype).release().ptr(),
                                                found.metadata.dimensions, found.metadata.shape.data(), nullptr,
                                                const_cast<void*>(data), data != nullptr ? kReadOnly : 0, nullptr);
  if (array == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::array>(array);
}

}  // namespace

bool is_exact_array(PyObject* object) { return Py_TYPE(object) == py::detail::npy_api::get().PyArray_Type_; }

std::string_view array_metadata(const py::array& array, std::span<char> out) {
  const py::dtype dtype = array.dtype();
  const bool plain = (array.flags() & py::array::c_style) != 0 && dtype.num() >= 0 && dtype.num() < kBuiltinDtypes &&
                     kKinds.find(dtype.kind()) != std::string_view::npos && dtype.itemsize() > 0;
  if (!plain) return {};
  Text text(out);
  text.append(kHead);
  append_dtype(text, dtype);
  text.append(kMiddle);
  for (py::ssize_t i = 0; i < array.ndim(); ++i) {
    if (i > 0) text.append(",");
    text.append(static_cast<std::int64_t>(array.shape()[i]));
  }
  text.append(kTail);
  return text.view();
}

PyObject* decode_array(const FrameView& frame) {
  const Described found = describe(frame);
  if (!found.dtype) return nullptr;
  py::array array = make_array(found, nullptr);
  copy_bytes(array.mutable_data(), frame.payload.data(), frame.payload.size());
  return array.release().ptr();
}

namespace {

// Over the payload, which is not empty, read-only, keeping `owner`.
PyObject* view_as(const Described& found, const FrameView& frame, PyObject* owner) {
  py::array array = make_array(found, frame.payload.data());
  // Steals the reference also if it fails.
  if (py::detail::npy_api::get().PyArray_SetBaseObject_(array.ptr(), py::handle(owner).inc_ref().ptr()) != 0) {
    throw py::error_already_set();
  }
  return array.release().ptr();
}

}  // namespace

PyObject* view_array(const FrameView& frame, PyObject* owner) {
  const Described found = describe(frame);
  return found.dtype && !frame.payload.empty() ? view_as(found, frame, owner) : nullptr;
}

PyObject* view_bytes(const FrameView& frame, PyObject* owner) {
  if (frame.metadata != kBytesMetadata || frame.payload.empty()) return nullptr;
  Described found{.dtype = find_dtype("|u1"), .metadata = {}};
  found.metadata.dimensions = 1;
  found.metadata.shape[0] = static_cast<py::ssize_t>(frame.payload.size());
  return view_as(found, frame, owner);
}

}  // namespace shmlane::bindings
