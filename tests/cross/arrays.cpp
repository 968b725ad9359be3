// SPDX-License-Identifier: Apache-2.0
// Streams of 64-bit integers, every one of which is the value's count, and locks of tensors.
#include "arrays.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "shmlane/stream.hpp"
#include "shmlane/tensor.hpp"

namespace {

using namespace std::chrono_literals;
using shmlane::Stream;
using Items = std::vector<std::int64_t>;

constexpr auto kPatience = 60s;

Items items_of(const Stream& stream) { return Items(stream.nbytes() / sizeof(std::int64_t)); }

int write(const std::string& name, std::uint64_t count) {
  Stream stream = Stream::open(name);
  Items items = items_of(stream);
  for (std::uint64_t i = 0; i < count; ++i) {
    if (!stream.acquire(kPatience)) return 3;
    std::fill(items.begin(), items.end(), static_cast<std::int64_t>(stream.count() + 1));
    stream.write(items);
    stream.release();
  }
  return 0;
}

int read(const std::string& name, std::uint64_t until) {
  Stream stream = Stream::open(name);
  Items items = items_of(stream);
  std::uint64_t count = 0;
  while (count < until) {
    const auto next = stream.read_after(count, std::as_writable_bytes(std::span(items)), kPatience);
    if (!next) return 4;
    if (*next <= count) return 5;
    count = *next;
    const auto wanted = static_cast<std::int64_t>(count);
    if (!std::all_of(items.begin(), items.end(), [&](std::int64_t item) { return item == wanted; })) return 6;
  }
  return 0;
}

// `first`: writes before it reads.
int take_turns(const std::string& mine, const std::string& other, std::uint64_t rounds, bool first) {
  Stream out = Stream::open(mine);
  Stream in = Stream::open(other);
  Items items = items_of(in);
  if (first) out.write(items);
  for (std::uint64_t i = 0; i < rounds; ++i) {
    if (in.read_after(i, std::as_writable_bytes(std::span(items)), kPatience) != i + 1) return 7;
    if (!first || i + 1 < rounds) out.write(items);
  }
  return 0;
}

int fill_half(const std::string& name) {
  Stream stream = Stream::open(name);
  const auto view = stream.write_view();
  const auto items = view->as<std::int64_t>();
  std::fill_n(items.begin(), items.size() / 2, -1);
  hold();
}

int hold_tensor(const std::string& name, bool reads) {
  shmlane::Tensor tensor = shmlane::Tensor::attach(name);
  if (!(reads ? tensor.lock_shared(kPatience) : tensor.lock(kPatience))) return 8;
  hold();
}

int lock_tensor(const std::string& name) {
  shmlane::Tensor tensor = shmlane::Tensor::attach(name);
  if (!tensor.lock(kPatience)) return 9;
  ++tensor.as<std::int64_t>()[0];
  tensor.unlock();
  if (!tensor.lock_shared(kPatience)) return 10;
  tensor.unlock_shared();
  return 0;
}

}  // namespace

std::optional<int> run_arrays(const std::vector<std::string>& words) {
  const std::string verb = words.empty() ? "" : words[0];
  if (words.size() == 3 && verb == "write-stream") return write(words[1], std::stoull(words[2]));
  if (words.size() == 3 && verb == "read-stream") return read(words[1], std::stoull(words[2]));
  if (words.size() == 5 && verb == "take-turns") {
    return take_turns(words[1], words[2], std::stoull(words[3]), words[4] == "first");
  }
  if (words.size() == 2 && verb == "fill-half") return fill_half(words[1]);
  if (words.size() == 3 && verb == "hold-tensor") return hold_tensor(words[1], words[2] == "read");
  if (words.size() == 2 && verb == "lock-tensor") return lock_tensor(words[1]);
  return std::nullopt;
}
