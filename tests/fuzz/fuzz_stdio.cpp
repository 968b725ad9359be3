// SPDX-License-Identifier: Apache-2.0
// Any bytes as a stream of frames (SPEC section 6): what is read is written again, and read again, the same.
// Input: how to seal (1 byte), then the stream.
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "input.hpp"
#include "shmlane/error.hpp"
#include "shmlane/stdio.hpp"

using namespace shmlane;

namespace {

constexpr std::uint64_t kMaxFrame = 1 << 20;

// Right sentinels around whatever lengths the headers claim.
void seal(std::string& stream) {
  for (std::size_t at = 0; stream.size() - at >= sizeof(wire::StdioHeader);) {
    wire::StdioHeader header{};
    std::memcpy(&header, stream.data() + at, sizeof header);
    header.sentinel = wire::stdio_sentinel(header.kind, header.metadata_size, header.payload_size);
    std::memcpy(stream.data() + at, &header, sizeof header);
    at += sizeof header;
    if (header.payload_size > stream.size() || header.metadata_size + header.payload_size > stream.size() - at) return;
    at += header.metadata_size + header.payload_size;
    const std::uint64_t end = wire::stdio_end_sentinel(header.sentinel);
    if (stream.size() - at < sizeof end) return;
    std::memcpy(stream.data() + at, &end, sizeof end);
    at += sizeof end;
  }
}

class Stream {
 public:
  Stream() : fd_(::memfd_create("shmlane-fuzz", MFD_CLOEXEC)) { fuzz::expect(fd_ >= 0, "memfd_create"); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { ::close(fd_); }
  [[nodiscard]] int fd() const noexcept { return fd_; }
  void fill(std::string_view bytes) const {
    fuzz::expect(::ftruncate(fd_, 0) == 0 && ::pwrite(fd_, bytes.data(), bytes.size(), 0) >= 0, "pwrite");
    rewind();
  }
  void rewind() const noexcept { ::lseek(fd_, 0, SEEK_SET); }

 private:
  int fd_;
};

// The frames up to the end or the first error; bad metadata does not end a stream (W-66).
std::vector<Object> read_all(int fd) {
  StdioConsumer consumer(fd, kMaxFrame);
  std::vector<Object> objects;
  for (std::uint64_t before = ~0ULL; consumer.offset() != before;) {
    before = consumer.offset();
    try {
      Taken<Object> taken = consumer.pop();
      if (!taken) break;
      fuzz::touch(taken->payload());
      objects.push_back(*std::move(taken));
    } catch (const Corrupt&) {
    } catch (const Truncated&) {
    }
  }
  return objects;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Stream stream;
  fuzz::Input input(data, size);
  const bool sealed = (input.take<std::uint8_t>() & 1) != 0;
  std::string bytes(input.rest());
  if (sealed) seal(bytes);
  stream.fill(bytes);
  const std::vector<Object> objects = read_all(stream.fd());
  stream.fill({});
  {
    StdioProducer producer(stream.fd());
    for (const Object& object : objects) producer.write({object.metadata_text(), object.payload()});
  }
  stream.rewind();
  const std::vector<Object> again = read_all(stream.fd());
  fuzz::expect(again.size() == objects.size(), "frames were lost between writing and reading");
  for (std::size_t i = 0; i < again.size(); ++i) {
    fuzz::expect(again[i].metadata_text() == objects[i].metadata_text(), "metadata changed on the way");
    fuzz::expect(std::ranges::equal(again[i].payload(), objects[i].payload()), "a payload changed on the way");
  }
  return 0;
}
