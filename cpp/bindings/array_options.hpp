// SPDX-License-Identifier: Apache-2.0
// What Python says about the array of a stream or a tensor, and hears of it.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>

#include "shmlane/dtype.hpp"
#include "shmlane/ndarray.hpp"

namespace shmlane::bindings {

struct AskedArray {
  DType dtype;
  Dims shape;
};

// From JSON as metadata has it (bytes), and a sequence of lengths; nothing if `dtype` is None. Throws InvalidArgument or
// UnsupportedType.
std::optional<AskedArray> to_array(const pybind11::object& dtype, const pybind11::object& shape);
// JSON as metadata has it.
pybind11::bytes dtype_json(const DType& dtype);
// Permissions. Throws InvalidArgument.
unsigned to_mode(const pybind11::object& mode);

}  // namespace shmlane::bindings
