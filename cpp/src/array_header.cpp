// SPDX-License-Identifier: Apache-2.0
// Writing, reading and checking the description of an array.
#include "array_header.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "crash_point.hpp"
#include "shmlane/error.hpp"

namespace shmlane {
namespace {

[[noreturn]] void corrupt(const Segment& segment, const std::string& what) {
  throw Corrupt("the header of '" + segment.name() + "' " + what + "; remove it with: shmlane rm --force " +
                segment.name());
}

DType read_dtype(const Segment& segment, const wire::ArrayHeader& header) {
  if (header.dtype_size > sizeof header.dtype) corrupt(segment, "names a dtype that is longer than its place");
  try {
    return DType::parse(Json::parse(std::string_view(header.dtype, header.dtype_size)));
  } catch (const Json::exception&) {
    corrupt(segment, "names no dtype");
  } catch (const Error& error) {
    corrupt(segment, std::string("names no dtype that is known here: ") + error.what());
  }
}

Dims read_shape(const Segment& segment, const wire::ArrayHeader& header) {
  if (header.dimensions > kMaxDimensions) corrupt(segment, "has too many dimensions");
  Dims shape(static_cast<std::size_t>(header.dimensions));
  for (std::size_t i = 0; i < shape.size(); ++i) shape[i] = static_cast<std::int64_t>(header.shape[i]);
  return shape;
}

}  // namespace

std::string shape_text(const Dims& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

std::string ArrayFacts::text() const { return dtype.text() + " " + shape_text(shape); }

ArrayFacts describe_array(const DType& dtype, const Dims& shape, std::uint32_t slots) {
  std::string text;
  dtype.append_json(text);
  if (text.size() > sizeof wire::ArrayHeader::dtype) {
    throw UnsupportedType("the dtype needs " + std::to_string(text.size()) + " bytes to be described, more than " +
                          std::to_string(sizeof wire::ArrayHeader::dtype));
  }
  if (dtype.itemsize() == 0 || dtype.itemsize() > std::numeric_limits<std::uint32_t>::max()) {
    throw UnsupportedType("items of dtype " + dtype.text() + " have no bytes, or too many");
  }
  const std::uint64_t nbytes = NdView::contiguous(dtype, shape, nullptr).nbytes();
  constexpr std::uint64_t kMost = std::uint64_t{1} << 46;
  if (nbytes > kMost / slots) throw TooLarge("an array of " + std::to_string(nbytes) + " bytes is beyond all limits");
  return {dtype, shape, nbytes, std::max<std::uint64_t>(wire::kAlignment, wire::align_up(nbytes)), slots};
}

void write_array_header(const ArrayFacts& facts, wire::ArrayHeader& header) {
  std::string text;
  facts.dtype.append_json(text);
  SHMLANE_CRASH_POINT("array.header");
  header.nbytes = facts.nbytes;
  header.slot_size = facts.slot_size;
  header.slots = facts.slots;
  header.itemsize = static_cast<std::uint32_t>(facts.dtype.itemsize());
  header.dimensions = static_cast<std::uint32_t>(facts.shape.size());
  std::transform(facts.shape.begin(), facts.shape.end(), header.shape,
                 [](std::int64_t length) { return static_cast<std::uint64_t>(length); });
  header.dtype_size = static_cast<std::uint32_t>(text.size());
  SHMLANE_CRASH_POINT("array.dtype");
  std::memcpy(header.dtype, text.data(), text.size());
}

ArrayFacts read_array_header(const Segment& segment) {
  wire::ArrayHeader header;
  std::memcpy(&header, &segment.array(), sizeof header);  // once: others may scribble over it meanwhile
  const DType dtype = read_dtype(segment, header);
  if (dtype.itemsize() != header.itemsize || dtype.itemsize() == 0) corrupt(segment, "lies about the size of an item");
  const bool tensor = segment.kind() == wire::Kind::kTensor;
  const bool slots_right =
      tensor ? header.slots == 1 : header.slots >= wire::kMinSlots && header.slots <= wire::kMaxSlots;
  if (!slots_right) corrupt(segment, "has a number of slots that cannot be");
  ArrayFacts facts;
  try {
    facts = describe_array(dtype, read_shape(segment, header), header.slots);
  } catch (const Error& error) {
    corrupt(segment, std::string("describes no array: ") + error.what());
  }
  const bool fits = header.nbytes == facts.nbytes && header.slot_size == facts.slot_size;
  if (!fits || facts.body_size() > segment.capacity())
    corrupt(segment, "describes an array of another size than there is");
  return facts;
}

}  // namespace shmlane
