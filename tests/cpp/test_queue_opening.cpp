// SPDX-License-Identifier: Apache-2.0
// Opening queues: names, capacities, who lays out the ring, permissions, and files that are no queue of ours.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <thread>

#include "shmlane/error.hpp"
#include "shmlane/inspect.hpp"
#include "shmlane/queue.hpp"
#include "support/payloads.hpp"
#include "support/processes.hpp"
#include "support/shm.hpp"

namespace {

using namespace std::chrono_literals;
using payloads::text;
using processes::Child;
using processes::expect;
using shmlane::Consumer;
using shmlane::Producer;
using shmlane::PushResult;

TEST_CASE("a name that breaks the rules is refused by every way to open") {
  const std::string long_name(201, 'n');
  const std::string long_utf8 = [] {
    std::string name;
    while (name.size() < 201) name += "\xc3\xa4";
    return name;
  }();
  const std::vector<std::string> names = {"",
                                          long_name,
                                          long_utf8,
                                          "a/b",
                                          "/",
                                          std::string("a\0b", 3),
                                          "\xff",
                                          "a\x80",
                                          "\xc3",
                                          "\xc0\xaf",           // an overlong '/'
                                          "\xed\xa0\x80",       // a surrogate
                                          "\xf4\x90\x80\x80"};  // beyond Unicode
  for (const std::string& name : names) {
    CAPTURE(name);
    CHECK_THROWS_AS(Producer{name}, shmlane::InvalidName);
    CHECK_THROWS_AS(Consumer{name}, shmlane::InvalidName);
    CHECK_THROWS_AS(shmlane::inspect_segment(name), shmlane::InvalidName);
    CHECK_THROWS_AS(shmlane::remove_segment(name), shmlane::InvalidName);
  }
}

TEST_CASE_FIXTURE(ShmTest, "a name of 200 bytes works, in any script and with any other character") {
  std::string longest = name("");
  while (longest.size() + 3 <= 199) longest += "\xe2\x82\xac";  // €
  while (longest.size() < 200) longest += 'x';
  for (const std::string& name : {longest, this->name(" .%?*\\\n'\"~"), this->name("\xf0\x9f\x9a\x80")}) {
    Consumer consumer(name);
    Producer producer(name, {{.capacity = 1}});
    CHECK(producer.name() == name);
    producer.push("x");
    CHECK(text(*consumer.pop()) == "x");
    CHECK(std::filesystem::exists("/dev/shm/shmlane." + name));
    CHECK(shmlane::inspect_segment(name).name == name);
  }
}

TEST_CASE_FIXTURE(ShmTest, "a capacity is rounded up to whole pages, and an impossible one is refused") {
  for (const auto& [asked, given] : std::vector<std::pair<std::uint64_t, std::uint64_t>>{
           {1, 4096}, {4095, 4096}, {4096, 4096}, {4097, 8192}, {12345, 16384}, {3 * 4096, 3 * 4096}}) {
    Consumer consumer(name());
    Producer producer(name(), {{.capacity = asked}});
    CHECK(producer.capacity() == given);
    CHECK(consumer.capacity() == given);
    // A ring whose size is no power of two goes round as well.
    for (std::uint32_t i = 0; i < 500; ++i) {
      payloads::push_stamped(producer, {0, i}, 300 + i);
      CHECK(payloads::check_stamped(consumer.pop()->payload()).sequence == i);
    }
  }
  for (const std::uint64_t asked : {std::uint64_t{0}, std::uint64_t{1} << 62, ~std::uint64_t{0}}) {
    CHECK_THROWS_AS(Producer(name(), {{.capacity = asked}}), shmlane::InvalidArgument);
    CHECK_THROWS_AS(Consumer(name(), {{.capacity = asked}}), shmlane::InvalidArgument);
    CHECK(files().empty());
  }
}

TEST_CASE_FIXTURE(ShmTest, "more than /dev/shm holds is NoSpace, says how much there is, and leaves nothing behind") {
  for (const std::uint64_t asked : {std::uint64_t{1} << 45, std::uint64_t{1} << 46}) {
    try {
      const Producer producer(name(), {{.capacity = asked}});
      FAIL("it was taken");
    } catch (const shmlane::NoSpace& error) {
      const std::string message = error.what();
      CHECK_MESSAGE(message.find("MiB are free") != message.npos, message);
    }
    CHECK(files().empty());
  }
  // A consumer's segment stays what it was.
  Consumer consumer(name());
  CHECK_THROWS_AS(Producer(name(), {{.capacity = std::uint64_t{1} << 45}}), shmlane::NoSpace);
  CHECK(consumer.capacity() == 0);
  Producer producer(name(), {{.capacity = 4096}});
  producer.push("x");
  CHECK(text(*consumer.pop()) == "x");
}

TEST_CASE_FIXTURE(ShmTest, "the default capacity is 32 MiB") {
  const Consumer consumer(name());
  const Producer producer(name());
  CHECK(producer.capacity() == 32 << 20);
}

TEST_CASE_FIXTURE(ShmTest, "a consumer may come first, without a capacity, and wait for whoever names one") {
  Consumer first(name());
  CHECK(first.capacity() == 0);
  CHECK(first.size() == 0);
  CHECK(first.try_pop().empty());
  CHECK(first.pop(20ms).empty());
  CHECK(first.pop_many(5, shmlane::no_wait).empty());
  CHECK_FALSE(first.ended());
  CHECK(shmlane::inspect_segment(name()).participants.size() == 1);
  SUBCASE("a producer") {
    Child child([&, name = name()] {
      std::this_thread::sleep_for(50ms);
      Producer(name, {{.capacity = 8192}}).push("x");
    });
    CHECK(text(*first.pop()) == "x");
    CHECK(first.capacity() == 8192);
    CHECK(child.join() == "");
  }
  SUBCASE("another consumer") {
    Consumer second(name(), {{.capacity = 8192}});
    CHECK(first.capacity() == 8192);
    Producer producer(name());
    CHECK(producer.capacity() == 8192);
    producer.push("x");
    CHECK(text(*first.pop()) == "x");
  }
  SUBCASE("nobody") {}
}

TEST_CASE_FIXTURE(ShmTest, "another capacity than the one there is refused with both numbers") {
  Consumer consumer(name(), {{.capacity = 8192}});
  CHECK(consumer.capacity() == 8192);
  for (int i = 0; i < 2; ++i) {
    try {
      if (i == 0) const Producer other(name(), {{.capacity = 16384}});
      if (i == 1) const Consumer other(name(), {{.capacity = 16384}});
      FAIL("it was taken");
    } catch (const shmlane::CapacityMismatch& error) {
      const std::string message = error.what();
      CHECK_MESSAGE(message.find("8192") != message.npos, message);
      CHECK_MESSAGE(message.find("16384") != message.npos, message);
    }
  }
  CHECK(consumer.stat().producers == 0);
  CHECK(consumer.stat().consumers == 1);
  const Producer same(name(), {{.capacity = 8000}});  // the same pages
  CHECK(same.capacity() == 8192);
}

unsigned mode_of(const std::string& file) {
  struct stat status {};
  REQUIRE(::stat(("/dev/shm/" + file).c_str(), &status) == 0);
  return status.st_mode & 07777;
}

TEST_CASE_FIXTURE(ShmTest, "the mode is the owner's alone unless said otherwise, whatever the umask") {
  const mode_t before = ::umask(0077);
  for (const unsigned mode : {0600U, 0660U, 0666U}) {
    const Consumer consumer(name(), {{.capacity = 4096, .mode = mode}});
    CHECK(files().size() == 3);
    for (const std::string& file : files()) CHECK(mode_of(file) == mode);
  }
  ::umask(0);
  {
    const Producer producer(name(), {{.capacity = 4096}});
    for (const std::string& file : files()) CHECK(mode_of(file) == 0600);
    const Consumer cleaner(name());
  }
  ::umask(before);
}

TEST_CASE_FIXTURE(ShmTest, "another user is refused, unless the mode lets him in") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: only root may become another user");
    return;
  }
  const std::string name = this->name();
  const auto as_nobody = [](auto&& work) {
    return processes::run_in_child([&] {
      expect(::setgid(65534) == 0 && ::setuid(65534) == 0, "cannot become another user");
      work();
    });
  };
  {
    Consumer consumer(name, {{.capacity = 4096}});
    const auto refused = [&](auto&& open) {
      CHECK(as_nobody([&] {
              try {
                open();
              } catch (const shmlane::PermissionDenied&) {
                return;
              }
              expect(false, "it was opened");
            }) == "");
    };
    refused([&] { const Producer producer(name); });
    refused([&] { const Consumer other(name); });
    refused([&] { static_cast<void>(shmlane::inspect_segment(name)); });
    refused([&] { static_cast<void>(shmlane::remove_segment(name, true)); });
    CHECK(consumer.stat().consumers == 1);
  }
  Consumer consumer(name, {{.capacity = 4096, .mode = 0666}});
  CHECK(as_nobody([&] { Producer(name).push("from another user"); }) == "");
  CHECK(text(*consumer.pop()) == "from another user");
  CHECK(consumer.pop().ended());
}

TEST_CASE_FIXTURE(ShmTest, "a symbolic link under a queue's name is not followed") {
  const std::string target = "/dev/shm/shmlane." + name("target");
  const std::string link = "/dev/shm/shmlane." + name();
  std::ofstream(target) << "precious";
  REQUIRE(::symlink(target.c_str(), link.c_str()) == 0);
  CHECK_THROWS_AS(Producer{name()}, shmlane::Error);
  CHECK_THROWS_AS(Consumer{name()}, shmlane::Error);
  std::string contents;
  std::ifstream(target) >> contents;
  CHECK(contents == "precious");
  std::filesystem::remove(link);
  std::filesystem::remove(target);
}

TEST_CASE_FIXTURE(ShmTest, "the table of participants holds 512, and the 513th is told so") {
  std::vector<Consumer> consumers;
  for (unsigned i = 0; i < shmlane::wire::kMaxParticipants; ++i) consumers.emplace_back(name());
  CHECK_THROWS_AS(Consumer{name()}, shmlane::TooManyParticipants);
  CHECK_THROWS_AS(Producer(name(), {{.capacity = 4096}}), shmlane::TooManyParticipants);
  consumers.erase(consumers.begin() + 100);
  Producer producer(name());
  producer.push("x");
  CHECK(text(*consumers.back().pop()) == "x");
  CHECK(producer.stat().consumers == 511);
}

TEST_CASE_FIXTURE(ShmTest, "a queue shows its facts to who looks from outside") {
  Consumer consumer(name(), {{.capacity = 8192}});
  Producer producer(name());
  producer.push("one");
  producer.push("two");
  auto lease = consumer.acquire();
  const auto reservation = producer.reserve(R"({"type":"bytes"})", 77);
  const shmlane::SegmentInfo info = shmlane::inspect_segment(name());
  CHECK(info.kind == shmlane::wire::Kind::kQueue);
  CHECK(info.state == shmlane::wire::SegmentState::kReady);
  CHECK(info.stat.capacity == 8192);
  CHECK(info.objects == 2);  // one ready, one reserved
  CHECK(info.stat.producers == 1);
  CHECK(info.stat.consumers == 1);
  REQUIRE(info.participants.size() == 2);
  for (const shmlane::ParticipantInfo& participant : info.participants) {
    CHECK(participant.alive);
    CHECK(participant.pid == static_cast<std::uint32_t>(::getpid()));
    REQUIRE(participant.holds.size() == 1);
    CHECK(participant.holds[0].payload_size == (participant.producer ? 77 : 3));
  }
  const auto names = shmlane::list_segments();
  CHECK(std::find(names.begin(), names.end(), name()) != names.end());
  CHECK_THROWS_AS(shmlane::inspect_segment(name("absent")), shmlane::NotFound);
  static_cast<void>(consumer.pop());
}

TEST_CASE_FIXTURE(ShmTest, "who removes a queue that is lived in must insist, and newcomers get a new one") {
  Consumer consumer(name());
  Producer producer(name(), {{.capacity = 4096}});
  CHECK_FALSE(shmlane::remove_segment(name()));
  CHECK(exists());
  CHECK(shmlane::remove_segment(name(), true));
  CHECK(files().empty());
  producer.push("among ourselves");
  CHECK(text(*consumer.pop()) == "among ourselves");
  Consumer newcomer(name());
  CHECK(newcomer.stat().consumers == 1);
  producer.close();
  CHECK(consumer.pop().ended());
  consumer.close();
  CHECK(exists());  // the old ones do not take the new one's name
  CHECK_THROWS_AS(shmlane::remove_segment(name("absent")), shmlane::NotFound);
}

}  // namespace
