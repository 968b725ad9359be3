// SPDX-License-Identifier: Apache-2.0
// A file whose first pages are whatever somebody wrote: who looks at it, removes it, or comes to it, gets an answer or an
// error, and what they make of it works (SPEC sections 2, 3 and 7).
// Input: how long the file is (2 bytes), who comes (1 byte), then what is scribbled over a segment that was sound.
#include <vector>

#include "hostile.hpp"
#include "input.hpp"
#include "segment.hpp"
#include "shmlane/codecs.hpp"
#include "shmlane/error.hpp"
#include "shmlane/inspect.hpp"
#include "shmlane/log.hpp"
#include "shmlane/queue.hpp"

using namespace shmlane;

namespace {

constexpr std::uint64_t kCapacity = 8192;
constexpr std::size_t kMostChanges = 32;

// A segment with objects in it as the library left it, so that everything scribbled over it starts from sense.
std::vector<std::byte> sound_segment(const std::string& name) {
  Producer producer(name, {{.capacity = kCapacity}, Policy::kBlock, forever});
  for (int i = 0; i < 3; ++i) producer.push(std::string(200, 'x'), no_wait);
  const raw::Segment segment(name);
  return {segment.bytes(), segment.bytes() + segment.size()};
}

void come(const std::string& name, unsigned who) {
  const Stale stale = static_cast<Stale>(who / 8 % 3);
  if (who % 2 == 0) {
    Consumer consumer(name, {{.stale = stale}});
    if (const auto object = consumer.pop(no_wait)) fuzz::touch(object->payload());
    static_cast<void>(consumer.stat());
  } else {
    Producer producer(name, {{.capacity = kCapacity, .stale = stale}, Policy::kDropNewest, forever});
    producer.push(std::string(100, 'y'), no_wait);
    Consumer consumer(name);
    if (const auto lease = consumer.acquire(no_wait)) fuzz::touch(lease->payload());
  }
}

// Errors are answers, too.
template <class Act>
void attempt(Act&& act) {
  try {
    act();
  } catch (const Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string name = fuzz::segment_name();
  static const std::vector<std::byte> sound = [] {
    set_log_level(LogLevel::kOff);
    std::atexit([] { fuzz::remove_files(fuzz::segment_name()); });
    std::vector<std::byte> bytes = sound_segment(name);
    fuzz::remove_files(name);
    return bytes;
  }();
  fuzz::Input input(data, size);
  const std::size_t length = input.take<std::uint16_t>() % 16 == 0 ? input.below(sound.size()) : sound.size();
  const auto who = input.take<std::uint8_t>();
  {
    raw::Segment segment(name, sound.size());
    std::memcpy(segment.bytes(), sound.data(), sound.size());
    fuzz::Scribbler scribbler(segment, {make_id(0, 1), make_id(1, 1), make_id(511, 9), 0});
    for (std::size_t i = 0; i < kMostChanges && !input.empty(); ++i) scribbler.scribble(input);
  }
  if (length < sound.size()) std::filesystem::resize_file(raw::path_of(name), length);
  attempt([] { static_cast<void>(inspect_segment(name)); });
  for (unsigned again = 0; again < 2; ++again) attempt([&] { come(name, who + again); });
  attempt([] { remove_segment(name, true); });
  fuzz::remove_files(name);
  return 0;
}
