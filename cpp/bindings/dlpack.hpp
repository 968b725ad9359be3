// SPDX-License-Identifier: Apache-2.0
// DLPack, version 1: arrays of a GPU as capsules, to and from other libraries (https://dmlc.github.io/dlpack).
#pragma once

#include <pybind11/pybind11.h>

#include "shmlane/cuda.hpp"

namespace shmlane::bindings {

// A capsule of the array, which keeps it; `versioned` as max_version >= (1, 0) allows. Throws UnsupportedType for a dtype
// that DLPack does not know.
pybind11::object to_dlpack(const cuda::DeviceArray& array, bool versioned, bool read_only);

// The array in a capsule, which is taken. Throws UnsupportedType for what is not in a CUDA device's memory.
cuda::DeviceArray from_dlpack(const pybind11::object& capsule);

}  // namespace shmlane::bindings
