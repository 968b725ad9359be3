// SPDX-License-Identifier: Apache-2.0
// DLPack's structures, as its specification has them, and what of them an array of a GPU needs.
#include "dlpack.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gil.hpp"
#include "held_object.hpp"
#include "shmlane/error.hpp"

namespace py = pybind11;

namespace shmlane::bindings {
namespace {

constexpr std::int32_t kDlCuda = 2, kDlCudaManaged = 13;
constexpr std::uint64_t kDlReadOnly = 1;

struct DlDevice {
  std::int32_t type;
  std::int32_t id;
};
struct DlDataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};
struct DlTensor {
  void* data;
  DlDevice device;
  std::int32_t dimensions;
  DlDataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // items; null: C order
  std::uint64_t byte_offset;
};
struct DlManaged {
  DlTensor tensor;
  void* context;
  void (*deleter)(DlManaged*);
};
struct DlManagedVersioned {
  std::uint32_t major, minor;
  void* context;
  void (*deleter)(DlManagedVersioned*);
  std::uint64_t flags;
  DlTensor tensor;
};

template <class Managed>
constexpr const char* kName = nullptr;
template <>
constexpr const char* kName<DlManaged> = "dltensor";
template <>
constexpr const char* kName<DlManagedVersioned> = "dltensor_versioned";

struct KnownDtype {
  std::string_view text;
  DlDataType dtype;
};
constexpr std::array kDtypes = {
    KnownDtype{"|b1", {6, 8, 1}},          KnownDtype{"|i1", {0, 8, 1}},
    KnownDtype{"<i2", {0, 16, 1}},         KnownDtype{"<i4", {0, 32, 1}},
    KnownDtype{"<i8", {0, 64, 1}},         KnownDtype{"|u1", {1, 8, 1}},
    KnownDtype{"<u2", {1, 16, 1}},         KnownDtype{"<u4", {1, 32, 1}},
    KnownDtype{"<u8", {1, 64, 1}},         KnownDtype{"<f2", {2, 16, 1}},
    KnownDtype{"<f4", {2, 32, 1}},         KnownDtype{"<f8", {2, 64, 1}},
    KnownDtype{"<c8", {5, 64, 1}},         KnownDtype{"<c16", {5, 128, 1}},
    KnownDtype{"bfloat16", {4, 16, 1}},    KnownDtype{"float8_e4m3fn", {10, 8, 1}},
    KnownDtype{"float8_e5m2", {12, 8, 1}},
};

DlDataType dl_dtype(const DType& dtype) {
  for (const KnownDtype& known : kDtypes) {
    if (known.text == dtype.text()) return known.dtype;
  }
  throw UnsupportedType("DLPack knows no dtype " + dtype.text());
}

DType dtype_of(const DlDataType& dtype) {
  for (const KnownDtype& known : kDtypes) {
    const bool same = known.dtype.code == dtype.code && known.dtype.bits == dtype.bits;
    if (same && dtype.lanes == 1) return DType(known.text);
  }
  throw UnsupportedType("DLPack's type " + std::to_string(dtype.code) + " of " + std::to_string(dtype.bits) +
                        " bits has no dtype here");
}

template <class Managed>
struct Exported {
  Managed managed{};
  cuda::DeviceArray array;
  std::vector<std::int64_t> shape, strides;
};

template <class Managed>
void free_capsule(PyObject* capsule) {
  // Who takes the array renames the capsule; then it is theirs to delete.
  if (PyCapsule_IsValid(capsule, kName<Managed>) == 0) return;
  auto* const managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule, kName<Managed>));
  managed->deleter(managed);
}

template <class Managed>
py::object export_as(const cuda::DeviceArray& array, std::uint64_t flags) {
  auto exported = std::make_unique<Exported<Managed>>();
  exported->array = array;
  exported->shape.assign(array.shape.begin(), array.shape.end());
  const auto itemsize = static_cast<std::int64_t>(array.dtype.itemsize());
  for (const std::int64_t stride : array.strides) {
    if (stride % itemsize != 0) throw UnsupportedType("DLPack has no strides that are no multiple of an item");
    exported->strides.push_back(stride / itemsize);
  }
  Managed& managed = exported->managed;
  managed.tensor = {reinterpret_cast<void*>(array.data),
                    {kDlCuda, array.device},
                    static_cast<std::int32_t>(array.shape.size()),
                    dl_dtype(array.dtype),
                    exported->shape.data(),
                    exported->strides.data(),
                    0};
  if constexpr (std::is_same_v<Managed, DlManagedVersioned>) {
    managed.major = 1;
    managed.flags = flags;
  }
  managed.context = exported.get();
  managed.deleter = [](Managed* self) {
    if (self != nullptr) delete static_cast<Exported<Managed>*>(self->context);
  };
  auto capsule = py::reinterpret_steal<py::object>(PyCapsule_New(&managed, kName<Managed>, &free_capsule<Managed>));
  if (!capsule) throw py::error_already_set();
  static_cast<void>(exported.release());
  return capsule;
}

template <class Managed>
cuda::DeviceArray take_capsule(const py::object& capsule) {
  auto* const managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), kName<Managed>));
  if (managed == nullptr) throw py::error_already_set();
  const DlTensor& tensor = managed->tensor;
  if (tensor.device.type != kDlCuda && tensor.device.type != kDlCudaManaged) {
    throw UnsupportedType("the array is not in the memory of a CUDA device");
  }
  const auto count = static_cast<std::size_t>(tensor.dimensions);
  const auto data = reinterpret_cast<std::uintptr_t>(tensor.data) + tensor.byte_offset;
  auto view = cuda::DeviceView::contiguous(dtype_of(tensor.dtype), Dims(std::span(tensor.shape, count)), data,
                                           tensor.device.id);
  const auto itemsize = static_cast<std::int64_t>(view.dtype.itemsize());
  for (std::size_t i = 0; tensor.strides != nullptr && i < count; ++i) view.strides[i] = tensor.strides[i] * itemsize;
  PyCapsule_SetName(capsule.ptr(),
                    (std::string_view(kName<Managed>) == "dltensor") ? "used_dltensor" : "used_dltensor_versioned");
  std::shared_ptr<void> keep(managed, [](void* pointer) {
    auto* const given = static_cast<Managed*>(pointer);
    with_gil([given] {
      if (given->deleter != nullptr) given->deleter(given);
    });
  });
  return cuda::borrow(std::move(view), std::move(keep));
}

}  // namespace

py::object to_dlpack(const cuda::DeviceArray& array, bool versioned, bool read_only) {
  if (versioned) return export_as<DlManagedVersioned>(array, read_only ? kDlReadOnly : 0);
  return export_as<DlManaged>(array, 0);
}

cuda::DeviceArray from_dlpack(const py::object& capsule) {
  if (PyCapsule_IsValid(capsule.ptr(), kName<DlManagedVersioned>) != 0)
    return take_capsule<DlManagedVersioned>(capsule);
  return take_capsule<DlManaged>(capsule);
}

}  // namespace shmlane::bindings
