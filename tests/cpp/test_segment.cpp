// SPDX-License-Identifier: Apache-2.0
// Files found under a queue's name: foreign ones, other versions, half-made and removed ones, and races for a name.
#include "segment.hpp"

#include <semaphore.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include "shmlane/error.hpp"
#include "shmlane/inspect.hpp"
#include "shmlane/queue.hpp"
#include "support/payloads.hpp"
#include "support/processes.hpp"
#include "support/raw_segment.hpp"
#include "support/shm.hpp"

namespace {

using payloads::text;
using processes::Child;
using processes::expect;
using shmlane::Consumer;
using shmlane::Producer;

namespace wire = shmlane::wire;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream contents;
  contents << file.rdbuf();
  return contents.str();
}

// Both ends refuse the file with that error, which says `what`, and leave the file as it is.
template <class Error>
void check_refused(const ShmTest& test, const std::string& what) {
  const std::string before = read_file(raw::path_of(test.name()));
  for (int i = 0; i < 2; ++i) {
    try {
      if (i == 0) const Producer producer(test.name(), {{.capacity = 4096}});
      if (i == 1) const Consumer consumer(test.name());
      FAIL("it was taken");
    } catch (const Error& error) {
      const std::string message = error.what();
      CHECK_MESSAGE(message.find(what) != message.npos, message);
    }
  }
  CHECK(read_file(raw::path_of(test.name())) == before);
  CHECK(test.files() == std::vector<std::string>{"shmlane." + test.name()});
}

// A segment file made by hand, valid but for what `spoil` does.
void write_segment(const std::string& name, const std::function<void(wire::SegmentHeader&)>& spoil) {
  const raw::Segment segment(name, wire::kBodyOffset);
  segment.header() = raw::valid_header();
  spoil(segment.header());
}

void make_semaphore(const std::string& name, std::uint64_t id, const char* which) {
  sem_t* semaphore = ::sem_open(shmlane::semaphore_name(name, id, which).c_str(), O_CREAT | O_EXCL, 0600, 0);
  REQUIRE(semaphore != SEM_FAILED);
  ::sem_close(semaphore);
}

// An object goes through, and then nothing is left.
void check_works(const std::string& name) {
  Consumer consumer(name);
  Producer producer(name, {{.capacity = 4096}});
  producer.push("x");
  CHECK(text(*consumer.pop()) == "x");
}

TEST_CASE_FIXTURE(ShmTest, "a file of another program is refused, whatever its length") {
  for (const std::size_t size :
       {std::size_t{1}, wire::kPageSize, wire::kBodyOffset - 1, wire::kBodyOffset, 2 * wire::kBodyOffset}) {
    CAPTURE(size);
    std::ofstream(raw::path_of(name()), std::ios::binary) << std::string(size, 'x');
    check_refused<shmlane::Foreign>(*this, "another program");
    CHECK_THROWS_AS(shmlane::inspect_segment(name()), shmlane::Foreign);
    CHECK_THROWS_AS(shmlane::remove_segment(name(), true), shmlane::Foreign);
    CHECK(exists());
    std::filesystem::remove(raw::path_of(name()));
  }
}

TEST_CASE_FIXTURE(ShmTest, "another version, layout or kind is refused by its name") {
  SUBCASE("version") {
    write_segment(name(), [](auto& header) { header.version = 77; });
    check_refused<shmlane::WrongVersion>(*this, "77");
    CHECK_THROWS_AS(shmlane::inspect_segment(name()), shmlane::WrongVersion);
  }
  SUBCASE("layout") {
    write_segment(name(), [](auto& header) { header.layout ^= 1; });
    check_refused<shmlane::WrongLayout>(*this, "layout");
  }
  SUBCASE("stream") {
    write_segment(name(), [](auto& header) { header.kind = static_cast<std::uint32_t>(wire::Kind::kStream); });
    check_refused<shmlane::WrongKind>(*this, "is a stream, not a queue");
  }
  SUBCASE("tensor") {
    write_segment(name(), [](auto& header) { header.kind = static_cast<std::uint32_t>(wire::Kind::kTensor); });
    check_refused<shmlane::WrongKind>(*this, "is a tensor, not a queue");
  }
  SUBCASE("unknown kind") {
    write_segment(name(), [](auto& header) { header.kind = 99; });
    check_refused<shmlane::WrongKind>(*this, "unknown");
  }
  CHECK(shmlane::remove_segment(name(), true));
}

TEST_CASE_FIXTURE(ShmTest, "a header whose body lies outside of its file is Corrupt") {
  const auto ready = [](wire::SegmentHeader& header) {
    header.state = static_cast<std::uint32_t>(wire::SegmentState::kReady);
    header.body_size = 4096;
  };
  const std::vector<std::function<void(wire::SegmentHeader&)>> faults = {
      [](auto&) {},  // the file ends before the body
      [](auto& header) { header.body_size = 0; },
      [](auto& header) { header.body_size = 100; },
      [](auto& header) { header.body_size = ~std::uint64_t{0} << 12; },
      [](auto& header) { header.body_size = std::uint64_t{1} << 63; },
      [](auto& header) { header.body_offset = 0; },
      [](auto& header) { header.body_offset = ~std::uint64_t{4095}; }};
  for (const auto& fault : faults) {
    write_segment(name(), [&](auto& header) {
      ready(header);
      fault(header);
    });
    check_refused<shmlane::Corrupt>(*this, "body outside of its file");
    CHECK_THROWS_AS(shmlane::inspect_segment(name()), shmlane::Corrupt);
    CHECK(shmlane::remove_segment(name()));
  }
}

TEST_CASE_FIXTURE(ShmTest, "a segment whose file was cut short is Corrupt, and can be replaced") {
  { Producer(name(), {{.capacity = 8192}}); }
  std::filesystem::resize_file(raw::path_of(name()), wire::kBodyOffset + 4096);
  CHECK_THROWS_AS(Consumer{name()}, shmlane::Corrupt);
  CHECK_THROWS_AS(Producer{name()}, shmlane::Corrupt);
  {
    Producer producer(name(), {{.capacity = 4096, .stale = shmlane::Stale::kReplace}});
    CHECK(producer.capacity() == 4096);
  }
  check_works(name());
}

TEST_CASE_FIXTURE(ShmTest, "a half-made segment, whose maker died, is made anew") {
  SUBCASE("an empty file") { std::ofstream(raw::path_of(name())).close(); }
  SUBCASE("a zeroed header") { const raw::Segment zeros(name(), wire::kBodyOffset); }
  SUBCASE("a header without its last store, and the semaphores") {
    write_segment(name(), [](auto& header) { header.state = static_cast<std::uint32_t>(wire::SegmentState::kEmpty); });
    make_semaphore(name(), raw::valid_header().segment_id, "items");
    make_semaphore(name(), raw::valid_header().segment_id, "space");
  }
  SUBCASE("garbage in the table") {
    const raw::Segment segment(name(), wire::kBodyOffset);
    segment.header() = raw::valid_header();
    segment.header().state = static_cast<std::uint32_t>(wire::SegmentState::kEmpty);
    std::memset(&segment.entry(0), 0xff, sizeof(wire::ParticipantEntry) * wire::kMaxParticipants);
  }
  check_works(name());
}

TEST_CASE_FIXTURE(ShmTest, "a half-made segment shows as empty from outside and can be removed") {
  std::ofstream(raw::path_of(name())).close();
  CHECK(shmlane::inspect_segment(name()).file_size == 0);
  CHECK(shmlane::remove_segment(name()));
  {
    const raw::Segment zeros(name(), wire::kBodyOffset);
    CHECK(shmlane::inspect_segment(name()).state == wire::SegmentState::kEmpty);
  }
  CHECK(shmlane::remove_segment(name()));
}

TEST_CASE_FIXTURE(ShmTest, "a removed segment that still has its name is no obstacle, and its semaphores go, too") {
  write_segment(name(), [](auto& header) { header.state = static_cast<std::uint32_t>(wire::SegmentState::kRemoved); });
  make_semaphore(name(), raw::valid_header().segment_id, "items");
  make_semaphore(name(), raw::valid_header().segment_id, "space");
  check_works(name());
}

TEST_CASE_FIXTURE(ShmTest, "a segment without a body or participants is joined") {
  write_segment(name(), [](auto&) {});
  check_works(name());
}

// The files in /dev/shm that this process has mapped under the name, by inode; a removed one is an error.
std::set<std::string> mapped_inodes(const std::string& name) {
  std::set<std::string> inodes;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("/dev/shm/shmlane." + name) == line.npos) continue;
    expect(line.find("(deleted)") == line.npos, "a segment lost its name while somebody lived in it");
    std::istringstream fields(line);
    std::string field;
    for (int i = 0; i < 5; ++i) fields >> field;
    inodes.insert(field);
  }
  return inodes;
}

TEST_CASE_FIXTURE(ShmTest, "never do two segments of one name live at once, however many create and remove them") {
  const std::string name = this->name();
  std::vector<Child> children;
  for (unsigned i = 0; i < 8; ++i) {
    children.emplace_back([&, i] {
      for (unsigned round = 0; round < 150; ++round) {
        const Consumer first(name);
        const Producer second(name, {{.capacity = 4096}});
        if ((i + round) % 3 == 0) std::this_thread::yield();
        expect(mapped_inodes(name).size() == 1, "one name led to two segments");
      }
    });
  }
  CHECK(processes::join_all(children) == "");
}

TEST_CASE_FIXTURE(ShmTest, "who races to create a queue meets in one") {
  struct Board {
    std::atomic<unsigned> opened{0}, checked{0}, popped{0};
  };
  for (unsigned round = 0; round < 20; ++round) {
    const processes::Shared<Board> board;
    const std::string name = this->name();
    std::vector<Child> children;
    for (unsigned i = 0; i < 8; ++i) {
      children.emplace_back([&, i] {
        std::optional<Producer> producer;
        std::optional<Consumer> consumer;
        if (i % 2 == 0) producer.emplace(name, shmlane::ProducerOptions{{.capacity = 4096}});
        if (i % 2 == 1) consumer.emplace(name);
        board->opened.fetch_add(1);
        processes::wait_until([&] { return board->opened == 8; });
        const shmlane::QueueStat stat = producer ? producer->stat() : consumer->stat();
        expect(stat.producers == 4 && stat.consumers == 4, "they did not all meet");
        board->checked.fetch_add(1);
        processes::wait_until([&] { return board->checked == 8; });
        if (producer) producer->push("x");
        producer.reset();
        while (consumer && consumer->pop()) board->popped.fetch_add(1);
      });
    }
    CHECK(processes::join_all(children) == "");
    CHECK(board->popped == 4);
    CHECK(files().empty());
  }
}

}  // namespace
