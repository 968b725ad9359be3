// SPDX-License-Identifier: Apache-2.0
// Each case by the library's public headers.
#include "cases.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>

#include "array_cases.hpp"
#include "shmlane/error.hpp"
#include "shmlane/frame.hpp"
#include "shmlane/inspect.hpp"
#include "shmlane/queue.hpp"
#include "shmlane/stdio.hpp"
#include "tagged.hpp"

namespace testee {
namespace {

using shmlane::Json;
namespace wire = shmlane::wire;

constexpr std::string_view kBytes = R"({"type":"bytes"})";

// Memory as aligned as the ring's.
class Aligned {
 public:
  explicit Aligned(std::size_t size)
      : data_(static_cast<std::byte*>(::operator new (size + 1, std::align_val_t{wire::kAlignment}))), size_(size) {
    std::memset(data_, 0, size);
  }
  explicit Aligned(const std::vector<std::byte>& bytes) : Aligned(bytes.size()) {
    std::copy(bytes.begin(), bytes.end(), data_);
  }
  Aligned(const Aligned&) = delete;
  Aligned& operator=(const Aligned&) = delete;
  ~Aligned() { ::operator delete (data_, std::align_val_t{wire::kAlignment}); }
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {data_, size_}; }

 private:
  std::byte* data_;
  std::size_t size_;
};

// A file of no name in memory.
class MemoryFile {
 public:
  explicit MemoryFile(std::span<const std::byte> bytes = {}) : fd_(::memfd_create("testee", MFD_CLOEXEC)) {
    const bool written = ::write(fd_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
    if (!written || ::lseek(fd_, 0, SEEK_SET) != 0) throw std::runtime_error("no file in memory is to be had");
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(fd_); }
  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] std::size_t position() const { return static_cast<std::size_t>(::lseek(fd_, 0, SEEK_CUR)); }
  // What lies before the position.
  [[nodiscard]] std::vector<std::byte> written() const {
    std::vector<std::byte> bytes(position());
    if (::pread(fd_, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) bytes.clear();
    return bytes;
  }

 private:
  int fd_;
};

std::uint64_t number(const Json& hex) { return std::stoull(hex.get<std::string>(), nullptr, 16); }

Json failure(const shmlane::Error& error) {
  return {{"error", shmlane::error_name(error.code())}, {"what", error.what()}};
}

// ---- Frames and streams --------------------------------------------------------------------------------------------

std::string written_anew(const shmlane::FrameView& view, std::uint64_t segment_id, std::uint64_t position) {
  const shmlane::FrameExtents extents = shmlane::frame_extents(view.metadata.size(), view.payload.size());
  const Aligned frame(extents.extent);
  std::byte* const start = frame.bytes().data();
  shmlane::open_frame(start, segment_id, position, extents.extent);
  shmlane::write_frame(start, extents, view.metadata);
  std::copy(view.payload.begin(), view.payload.end(), start + extents.payload_offset);
  start[0] = static_cast<std::byte>(wire::FrameState::kReady);
  return to_hex(frame.bytes());
}

Json frame(const Json& one) {
  const Aligned memory(from_hex(one.at("bytes")));
  const std::uint64_t segment_id = number(one.at("segment_id"));
  const std::uint64_t position = number(one.at("position"));
  const char* stage = "frame";
  try {
    const auto view = shmlane::parse_frame(memory.bytes().data(), memory.bytes().size(), segment_id, position);
    stage = "metadata";
    const auto metadata = shmlane::parse_metadata(view.metadata);
    stage = "object";
    return {{"metadata_text", view.metadata},
            {"payload", to_hex(view.payload)},
            {"object", tagged(shmlane::Codec<shmlane::Value>::read(*metadata, view.payload))},
            {"written", written_anew(view, segment_id, position)}};
  } catch (const shmlane::Error& error) {
    Json json = failure(error);
    json["stage"] = stage;
    return json;
  }
}

Json contents(const shmlane::Received& taken, std::span<const std::byte> payload) {
  if (reinterpret_cast<std::uintptr_t>(payload.data()) % wire::kAlignment != 0) throw std::logic_error("not aligned");
  return {{"metadata_text", taken.metadata_text()}, {"payload", to_hex(payload)}, {"attempt", taken.attempt()}};
}

Json stdio(const Json& one) {
  const MemoryFile source(from_hex(one.at("bytes"))), target;
  shmlane::StdioConsumer reader(source.fd(), one.value("max_frame", shmlane::kDefaultMaxFrame));
  shmlane::StdioProducer writer(target.fd());
  Json json = {{"frames", Json::array()}};
  try {
    while (const auto object = reader.pop()) {
      json["frames"].push_back(contents(*object, object->payload()));
      writer.write({object->metadata_text(), object->payload()});
    }
    if (!reader.pop().ended()) throw std::logic_error("something came after the end");
  } catch (const shmlane::Error& error) {
    json.update(failure(error));
    writer.close();
    return json;
  }
  writer.close();
  json["bytes_read"] = reader.offset();
  json["position"] = source.position();
  json["written"] = to_hex(target.written());
  return json;
}

// ---- Segments ------------------------------------------------------------------------------------------------------

const char* state_name(wire::SegmentState state) {
  constexpr std::array<const char*, 4> kNames{"empty", "header", "ready", "removed"};
  return kNames.at(static_cast<std::size_t>(state));
}

const char* kind_name(wire::Kind kind) {
  constexpr std::array<const char*, 4> kNames{"unknown", "queue", "stream", "tensor"};
  return kNames.at(static_cast<std::size_t>(kind));
}

Json to_json(const shmlane::ParticipantInfo& participant) {
  Json roles = Json::array(), holds = Json::array();
  if (participant.producer) roles.push_back("producer");
  if (participant.consumer) roles.push_back("consumer");
  for (const shmlane::HeldFrame& hold : participant.holds) {
    const char* state = hold.state == wire::FrameState::kLeased ? "leased" : "reserved";
    holds.push_back({{"state", state}, {"position", hold.position}, {"nbytes", hold.payload_size}});
  }
  return {{"index", participant.index}, {"id", participant.id},           {"roles", roles},
          {"alive", participant.alive}, {"at_tail", participant.at_tail}, {"holds", holds}};
}

Json to_json(const shmlane::ArrayInfo& array) {
  return {{"dtype", Json::parse(array.dtype)},
          {"shape", std::vector<std::int64_t>(array.shape.begin(), array.shape.end())},
          {"nbytes", array.nbytes},
          {"slots", array.slots},
          {"count", array.count}};
}

Json inspect(const Json& one) {
  const shmlane::SegmentInfo info = shmlane::inspect_segment(one.at("name").get<std::string>());
  Json participants = Json::array();
  for (const shmlane::ParticipantInfo& participant : info.participants) participants.push_back(to_json(participant));
  const shmlane::QueueStat& stat = info.stat;
  Json json = {{"kind", kind_name(info.kind)},
               {"state", state_name(info.state)},
               {"full_fence", info.full_fence},
               {"items_waiters", info.items_waiters},
               {"space_waiters", info.space_waiters},
               {"objects", info.objects},
               {"capacity", stat.capacity},
               {"used", stat.used},
               {"producers", stat.producers},
               {"consumers", stat.consumers},
               {"pushed", stat.pushed},
               {"pushed_bytes", stat.pushed_bytes},
               {"aborted", stat.aborted},
               {"popped", stat.popped},
               {"popped_bytes", stat.popped_bytes},
               {"dropped", stat.dropped},
               {"redelivered", stat.redelivered},
               {"waits", stat.waits},
               {"recovered", stat.recovered},
               {"participants", participants}};
  if (info.array) json.update(to_json(*info.array));
  return json;
}

shmlane::QueueOptions options(const Json& one) {
  const std::map<std::string, shmlane::Stale> stale{
      {"auto", shmlane::Stale::kAuto}, {"keep", shmlane::Stale::kKeep}, {"replace", shmlane::Stale::kReplace}};
  shmlane::QueueOptions result;
  if (one.contains("capacity")) result.capacity = one["capacity"].get<std::uint64_t>();
  result.stale = stale.at(one.value("stale", "keep"));
  result.unlink = one.value("unlink", false);
  return result;
}

// Errors that cost one object are told among the objects.
Json pop(const Json& one) {
  shmlane::Consumer consumer(one.at("name").get<std::string>(), {options(one)});
  Json objects = Json::array();
  for (;;) {
    const std::uint64_t dropped = consumer.stat().dropped;
    try {
      const auto lease = consumer.try_acquire();
      if (!lease) return {{"objects", objects}, {"then", lease.ended() ? "end" : "empty"}};
      objects.push_back(contents(*lease, lease->payload()));
    } catch (const shmlane::Corrupt& error) {
      if (consumer.stat().dropped == dropped) throw;
      objects.push_back(failure(error));
    }
  }
}

std::uint64_t position_of(const std::string& queue) {
  for (const shmlane::ParticipantInfo& participant : shmlane::inspect_segment(queue).participants) {
    const bool mine = participant.pid == static_cast<std::uint32_t>(::getpid());
    if (mine && !participant.holds.empty()) return participant.holds[0].position;
  }
  throw std::logic_error("the reservation is not to be seen");
}

Json push(const Json& one) {
  const std::map<std::string, shmlane::Policy> policies{{"block", shmlane::Policy::kBlock},
                                                        {"drop_oldest", shmlane::Policy::kDropOldest},
                                                        {"drop_newest", shmlane::Policy::kDropNewest}};
  const std::string queue = one.at("name");
  const shmlane::Policy policy = policies.at(one.value("policy", "block"));
  shmlane::Producer producer(queue,
                             {options(one), policy, shmlane::forever, one.value("max_objects", std::uint64_t{0})});
  auto place = producer.reserve(kBytes, one.at("nbytes").get<std::uint64_t>(), shmlane::no_wait);
  if (!place) return {{"result", policy == shmlane::Policy::kBlock ? "full" : "dropped"}};
  const std::uint64_t position = position_of(queue);
  for (std::byte& byte : place->payload()) byte = std::byte{0xa5};
  place->commit();
  return {{"position", position}};
}

Json reap(const Json& one) { return {{"reaped", shmlane::reap_segment(one.at("name").get<std::string>())}}; }

}  // namespace

Json answer(const Json& one_case) {
  static const Cases cases{{"frame", frame}, {"stdio", stdio}, {"inspect", inspect},
                           {"pop", pop},     {"push", push},   {"reap", reap}};
  const std::string name = one_case.at("case");
  try {
    return (cases.contains(name) ? cases : array_cases()).at(name)(one_case);
  } catch (const shmlane::Error& error) {
    return failure(error);
  }
}

}  // namespace testee
