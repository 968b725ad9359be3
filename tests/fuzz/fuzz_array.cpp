// SPDX-License-Identifier: Apache-2.0
// Streams and tensors whose headers and control words are whatever somebody wrote: who looks at one, opens, reads, writes,
// locks or removes it gets an answer or an error (SPEC section 11).
// Input: which kind and who comes (1 byte), then what is scribbled over a segment that was sound, before and after it was
// opened.
#include <chrono>
#include <cstring>
#include <vector>

#include "hostile.hpp"
#include "input.hpp"
#include "shmlane/error.hpp"
#include "shmlane/inspect.hpp"
#include "shmlane/log.hpp"
#include "shmlane/stream.hpp"
#include "shmlane/tensor.hpp"

using namespace shmlane;

namespace {

constexpr std::size_t kMostChanges = 16;
constexpr std::chrono::milliseconds kPatience{2};

const DType kInt = DType::of<std::int32_t>();

std::vector<std::byte> sound_segment(const std::string& name, bool tensor) {
  const Dims shape{5, 8};
  if (tensor) {
    Tensor::create(name, kInt, shape);
  } else {
    Stream::create(name, kInt, shape).clear();
  }
  const raw::Segment segment(name);
  std::vector<std::byte> bytes{segment.bytes(), segment.bytes() + segment.size()};
  fuzz::remove_files(name);
  return bytes;
}

// One word of the header, the table, the control or the array's header; or one of the last at a place that matters.
void scribble(raw::Segment& segment, fuzz::Input& input) {
  const auto place = input.take<std::uint8_t>();
  std::size_t offset = 0;
  if (place < 0x10) {
    offset = input.below(sizeof(wire::SegmentHeader) / 8) * 8;
  } else if (place < 0x30) {
    offset = wire::kTableOffset + input.below(4 * sizeof(wire::ParticipantEntry) / 8) * 8;
  } else if (place < 0x90) {
    offset = wire::kControlOffset + input.below(sizeof(wire::StreamControl) / 8) * 8;
  } else {
    offset = wire::kArrayOffset + input.below(place < 0xd0 ? 8 : sizeof(wire::ArrayHeader) / 8) * 8;
  }
  std::uint64_t word = 0;
  std::memcpy(&word, segment.bytes() + offset, sizeof word);
  const auto how = input.take<std::uint8_t>();
  if (how % 4 == 0) word = input.take<std::uint64_t>();
  if (how % 4 == 1) word ^= std::uint64_t{1} << (how / 4);
  if (how % 4 == 2) word += static_cast<std::uint64_t>(std::int64_t{input.take<std::int8_t>()});
  if (how % 4 == 3) word = make_id(how / 4 % 3, how / 16);
  std::memcpy(segment.bytes() + offset, &word, sizeof word);
}

// Errors are answers, too.
template <class Act>
void attempt(Act&& act) {
  try {
    act();
  } catch (const Error&) {
  }
}

void use_stream(const std::string& name, raw::Segment& segment, fuzz::Input& input) {
  Stream stream = Stream::open(name);
  std::vector<std::byte> value(stream.nbytes());
  for (unsigned again = 0; again < 2; ++again) {
    attempt([&] { stream.read(value); });
    fuzz::touch(value);
    attempt([&] { stream.write(value, kPatience); });
    attempt([&] { stream.wait_after(stream.last_read(), kPatience); });
    attempt([&] {
      if (auto view = stream.write_view(true, kPatience)) view->commit();
    });
    attempt([&] { static_cast<void>(stream.describe()); });
    scribble(segment, input);
  }
}

void use_tensor(const std::string& name, raw::Segment& segment, fuzz::Input& input) {
  Tensor tensor = Tensor::attach(name);
  for (unsigned again = 0; again < 2; ++again) {
    fuzz::touch(tensor.bytes());
    attempt([&] {
      if (tensor.lock(kPatience)) tensor.unlock();
    });
    attempt([&] {
      if (tensor.lock_shared(kPatience)) tensor.unlock_shared();
    });
    scribble(segment, input);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string name = fuzz::segment_name();
  static const std::vector<std::byte> sound[2] = {
      [] {
        set_log_level(LogLevel::kOff);
        std::atexit([] { fuzz::remove_files(fuzz::segment_name()); });
        return sound_segment(name, false);
      }(),
      sound_segment(name, true),
  };
  fuzz::Input input(data, size);
  const bool tensor = input.take<std::uint8_t>() % 2 == 1;
  raw::Segment segment(name, sound[tensor].size());
  std::memcpy(segment.bytes(), sound[tensor].data(), sound[tensor].size());
  for (std::size_t i = 0; i < kMostChanges && !input.empty(); ++i) scribble(segment, input);
  attempt([] { static_cast<void>(inspect_segment(name)); });
  attempt([&] { tensor ? use_tensor(name, segment, input) : use_stream(name, segment, input); });
  attempt([] { static_cast<void>(reap_segment(name)); });
  attempt([] { unlink_stream(name); });
  attempt([] { remove_segment(name, true); });
  fuzz::remove_files(name);
  return 0;
}
