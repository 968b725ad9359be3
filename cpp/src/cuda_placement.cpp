// SPDX-License-Identifier: Apache-2.0
// Metadata and payload of the type `cuda`, written and read.
#include "cuda_placement.hpp"

#include <charconv>
#include <cstring>
#include <string>

#include "fields.hpp"
#include "shmlane/error.hpp"

namespace shmlane {
namespace {

constexpr std::uint64_t kFormat = 1;
constexpr std::uint64_t kMostSlots = std::uint64_t{1} << 32;
constexpr std::uint64_t kMostIds = std::uint64_t{1} << 48;

std::string hex_of(std::uint64_t number) {
  char digits[17] = "0000000000000000";
  char text[16];
  const auto end = std::to_chars(text, text + sizeof text, number, 16).ptr;
  std::memcpy(digits + 16 - (end - text), text, static_cast<std::size_t>(end - text));
  return digits;
}

// `count` lower-case hexadecimal digits as a number.
std::uint64_t number_of(const Fields& fields, const char* key, std::string_view text) {
  std::uint64_t number = 0;
  const bool lower = text.find_first_not_of("0123456789abcdef") == text.npos;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  if (!lower || text.empty() || error != std::errc() || end != text.data() + text.size()) {
    fields.corrupt("its \"" + std::string(key) + "\" is not made of lower-case hexadecimal digits");
  }
  return number;
}

CudaPlacement::Uuid read_uuid(const Fields& fields) {
  const std::string& text = fields.text("device");
  CudaPlacement::Uuid uuid{};
  if (text.size() != 2 * uuid.size()) fields.corrupt("its \"device\" is no UUID of 32 digits");
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    uuid[i] = static_cast<unsigned char>(number_of(fields, "device", std::string_view(text).substr(2 * i, 2)));
  }
  return uuid;
}

Dims read_shape(const Fields& fields) {
  const Json& list = fields.list("shape");
  if (list.size() > kMaxDimensions) fields.corrupt("it has more than 64 dimensions");
  Dims shape(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::optional<std::uint64_t> length = to_length(list[i]);
    if (!length) fields.corrupt("its shape is not a list of lengths");
    shape[i] = static_cast<std::int64_t>(*length);
  }
  return shape;
}

Dims read_strides(const Fields& fields, std::size_t dimensions) {
  const Json& list = fields.list("strides");
  if (list.size() != dimensions) fields.corrupt("it has not one stride per dimension");
  Dims strides(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::optional<std::uint64_t> stride = to_length(list[i]);
    if (!stride) fields.corrupt("its strides are not a list of bytes, 0 or more");
    strides[i] = static_cast<std::int64_t>(*stride);
  }
  return strides;
}

// W-142: all items lie in the first `bytes` bytes.
void check_extent(const Fields& fields, const CudaPlacement& found) {
  std::uint64_t end = found.dtype.itemsize();
  bool empty = false;
  bool sound = true;
  for (std::size_t i = 0; i < found.shape.size(); ++i) {
    const auto length = static_cast<std::uint64_t>(found.shape[i]);
    empty = empty || length == 0;
    const auto step = checked_product(length == 0 ? 0 : length - 1, static_cast<std::uint64_t>(found.strides[i]));
    const auto sum = checked_sum(end, step.value_or(0));
    sound = sound && step.has_value() && sum.has_value();
    end = sum.value_or(0);
  }
  if (!empty && (!sound || end > found.bytes)) fields.corrupt("the array is longer than its bytes");
}

}  // namespace

std::string uuid_text(const CudaPlacement::Uuid& uuid) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : uuid) (text += kDigits[byte >> 4]) += kDigits[byte & 15];
  return text;
}

Json CudaPlacement::metadata() const {
  return {{"type", "cuda"},
          {"format", kFormat},
          {"memory", sharing == Sharing::kDescriptor ? "fd" : "ipc"},
          {"device", uuid_text(device)},
          {"dtype", dtype.to_json()},
          {"shape", std::vector<std::int64_t>(shape.begin(), shape.end())},
          {"strides", std::vector<std::int64_t>(strides.begin(), strides.end())},
          {"allocation", hex_of(allocation)},
          {"exporter", exporter},
          {"pid", pid},
          {"slot", slot},
          {"generation", generation},
          {"offset", offset},
          {"bytes", bytes}};
}

std::array<std::byte, CudaPlacement::kPayloadSize> CudaPlacement::payload() const {
  std::array<std::byte, kPayloadSize> bytes_of{};
  std::memcpy(bytes_of.data(), memory.data(), memory.size());
  std::memcpy(bytes_of.data() + memory.size(), filled.data(), filled.size());
  return bytes_of;
}

CudaPlacement CudaPlacement::read(const Json& metadata, std::span<const std::byte> payload) {
  if (version_of(metadata) != 0) throw WrongType("a custom type named cuda is not an array of a GPU");
  const Fields fields(metadata);
  if (fields.text("type") != "cuda") {
    throw WrongType("the object is of type '" + fields.text("type") + "', not an array of a GPU");
  }
  if (fields.length("format") != kFormat) fields.unsupported("it is of another format than this version knows");
  const bool descriptor = fields.text("memory") == "fd";
  if (!descriptor && fields.text("memory") != "ipc") {
    fields.unsupported("its memory is shared in a way that this version does not know");
  }
  if (payload.size() != kPayloadSize) fields.corrupt("its payload is not two handles of 64 bytes");
  CudaPlacement found;
  found.sharing = descriptor ? Sharing::kDescriptor : Sharing::kHandle;
  found.device = read_uuid(fields);
  found.dtype = fields.dtype();
  found.shape = read_shape(fields);
  found.strides = read_strides(fields, found.shape.size());
  if (fields.text("allocation").size() != 16) fields.corrupt("its \"allocation\" is no id of 16 digits");
  found.allocation = number_of(fields, "allocation", fields.text("allocation"));
  found.exporter = fields.length("exporter");
  found.pid = fields.length("pid");
  found.slot = fields.length("slot");
  found.generation = fields.length("generation");
  found.offset = fields.length("offset");
  found.bytes = fields.length("bytes");
  if (found.exporter >= kMostIds || found.slot >= kMostSlots)
    fields.corrupt("its exporter or slot is too large a number");
  std::memcpy(found.memory.data(), payload.data(), found.memory.size());
  std::memcpy(found.filled.data(), payload.data() + found.memory.size(), found.filled.size());
  check_extent(fields, found);
  return found;
}

}  // namespace shmlane
