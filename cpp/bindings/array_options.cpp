// SPDX-License-Identifier: Apache-2.0
// Arrays of streams and tensors as Python describes them.
#include "array_options.hpp"

#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "arguments.hpp"

namespace shmlane::bindings {

std::optional<AskedArray> to_array(const py::object& dtype, const py::object& shape) {
  if (dtype.is_none()) return std::nullopt;
  Json json;
  try {
    json = Json::parse(view_of(py::reinterpret_borrow<py::bytes>(dtype)));
  } catch (const Json::exception& error) {
    throw InvalidArgument(std::string("a dtype is no JSON: ") + error.what());
  }
  const auto lengths = py::reinterpret_steal<py::tuple>(PySequence_Tuple(shape.ptr()));
  if (!lengths) throw py::error_already_set();
  Dims dims(lengths.size());
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const std::uint64_t length = to_unsigned(lengths[i], "a length in the shape");
    if (length > std::uint64_t{std::numeric_limits<std::int64_t>::max()})
      throw InvalidArgument("the shape is too large");
    dims[i] = static_cast<std::int64_t>(length);
  }
  return AskedArray{DType::parse(json), dims};
}

py::bytes dtype_json(const DType& dtype) {
  std::string text;
  dtype.append_json(text);
  return {text};
}

unsigned to_mode(const py::object& mode) {
  constexpr std::uint64_t kMostPermissions = 0777;
  const std::uint64_t permissions = to_unsigned(mode, "mode");
  if (permissions > kMostPermissions) throw InvalidArgument("mode has more than permissions; give 0o600 to 0o777");
  return static_cast<unsigned>(permissions);
}

}  // namespace shmlane::bindings
