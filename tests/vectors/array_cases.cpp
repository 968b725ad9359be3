// SPDX-License-Identifier: Apache-2.0
// Each case about streams and tensors by the library's public headers.
#include "array_cases.hpp"

#include <algorithm>
#include <span>
#include <vector>

#include "shmlane/stream.hpp"
#include "shmlane/tensor.hpp"
#include "tagged.hpp"

namespace testee {
namespace {

using shmlane::DType;
using shmlane::Json;

std::string name_of(const Json& one) { return one.at("name"); }

Json facts(const DType& dtype, const shmlane::Dims& shape, std::span<const std::byte> items) {
  std::string text;
  dtype.append_json(text);
  return {{"dtype", Json::parse(text)},
          {"shape", std::vector<std::int64_t>(shape.begin(), shape.end())},
          {"items", to_hex(items)}};
}

Json read(const Json& one) {
  const auto stream = shmlane::Stream::open(name_of(one));
  std::vector<std::byte> items(stream.nbytes());
  const std::uint64_t count = stream.read(std::span(items.data(), items.size()));
  const shmlane::StreamStat stat = stream.stat();
  Json json = facts(stream.dtype(), stream.shape(), items);
  json.update({{"count", count},
               {"slots", stream.slots()},
               {"write_sequence", stat.write_sequence},
               {"writer_alive", stat.writer_alive}});
  return json;
}

Json write(const Json& one) {
  auto stream = shmlane::Stream::open(name_of(one));
  const std::vector<std::byte> value = from_hex(one.at("value"));
  // Items are bytes here, whatever the dtype.
  const auto count = stream.write(std::span(value.data(), value.size()), shmlane::no_wait);
  if (!count) return {{"result", "locked"}};
  return {{"count", *count}};
}

Json attach(const Json& one) {
  const auto tensor = shmlane::Tensor::attach(name_of(one));
  return facts(tensor.dtype(), tensor.shape(), tensor.bytes());
}

Json lock(const Json& one) {
  auto tensor = shmlane::Tensor::attach(name_of(one));
  const bool reads = one.at("way") == "read";
  const bool taken = reads ? tensor.lock_shared(shmlane::no_wait) : tensor.lock(shmlane::no_wait);
  if (taken) reads ? tensor.unlock_shared() : tensor.unlock();
  return {{"result", taken ? "taken" : "held"}};
}

Json create(const Json& one) {
  const DType dtype = DType::parse(one.at("dtype"));
  const auto lengths = one.at("shape").get<std::vector<std::int64_t>>();
  shmlane::Dims shape(lengths.size());
  std::copy(lengths.begin(), lengths.end(), shape.begin());
  if (one.at("kind") == "stream") {
    shmlane::Stream::create(name_of(one), dtype, shape);
  } else {
    shmlane::Tensor::create(name_of(one), dtype, shape);
  }
  return Json::object();
}

}  // namespace

const Cases& array_cases() {
  static const Cases cases{{"read", read}, {"write", write}, {"attach", attach}, {"lock", lock}, {"create", create}};
  return cases;
}

}  // namespace testee
