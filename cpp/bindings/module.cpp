// SPDX-License-Identifier: Apache-2.0
// The extension module shmlane._native: the native backend, name by name as in _native.pyi.
#include <pybind11/pybind11.h>

#include "bind.hpp"
#include "errors.hpp"
#include "shmlane/wire.hpp"

PYBIND11_MODULE(_native, module, pybind11::mod_gil_not_used()) {
  using namespace shmlane::bindings;
  module.doc() = "The native backend of shmlane: frames through rings and descriptors.";
  module.attr("WIRE_VERSION") = shmlane::wire::kVersion;
  register_errors();
  route_log();
  bind_reservation(module);
  bind_lease(module);
  bind_lease_handle(module);
  bind_producer(module);
  bind_consumer(module);
  bind_stdio(module);
  bind_stream(module);
  bind_tensor(module);
  bind_inspect(module);
  bind_frame(module);
#if SHMLANE_CUDA
  bind_cuda(module);
#endif
}
