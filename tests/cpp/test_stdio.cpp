// SPDX-License-Identifier: Apache-2.0
// Frames over real pipes, sockets and files: partial transfers, interruptions, readers that go away (SPEC section 6).
#include "shmlane/stdio.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "shmlane/codecs.hpp"
#include "shmlane/error.hpp"
#include "support/streams.hpp"
#include "support/watchdog.hpp"

namespace {

using namespace shmlane;

std::string read_rest(int fd) {
  std::string rest;
  char buffer[4096];
  for (ssize_t size = 0; (size = ::read(fd, buffer, sizeof buffer)) > 0;) {
    rest.append(buffer, static_cast<std::size_t>(size));
  }
  return rest;
}

TEST_CASE("objects pushed into a pipe come out of it in order, then the end") {
  const Watchdog watchdog;
  Ends ends = Ends::pipe();
  {
    StdioProducer producer(ends.out());
    producer.push(std::string_view("first"));
    producer.push("second");
    producer.push(std::string_view());
  }
  StdioConsumer consumer(ends.in());
  for (const std::string_view expected : {"first", "second", ""}) {
    Taken<Object> taken = consumer.pop();
    REQUIRE(taken);
    CHECK(taken->get<std::string_view>() == expected);
  }
  CHECK(consumer.pop().ended());
  CHECK(consumer.pop().ended());
}

TEST_CASE("a frame larger than any pipe crosses whole") {
  const Watchdog watchdog;
  const std::string payload = pattern(20 << 20);
  for (const bool sockets : {false, true}) {
    Ends ends = sockets ? Ends::sockets() : Ends::pipe();
    std::thread writer([&] {
      StdioProducer producer(ends.out());
      producer.write(frame_of(payload));
      producer.write(frame_of("after"));
    });
    StdioConsumer consumer(ends.in());
    Taken<Object> large = consumer.pop();
    REQUIRE(large);
    CHECK(text(*large) == payload);
    Taken<Object> small = consumer.pop();
    REQUIRE(small);
    CHECK(text(*small) == "after");
    CHECK(consumer.pop().ended());
    writer.join();
  }
}

TEST_CASE("a stream that comes byte by byte is read as any other") {
  const Watchdog watchdog;
  Ends recorder = Ends::pipe();
  StdioProducer(recorder.out()).write(frame_of("payload"));
  recorder.close_out();
  const std::string stream = read_rest(recorder.in());

  Ends ends = Ends::pipe();
  std::thread writer([&] {
    for (const char byte : stream) {
      REQUIRE(::write(ends.out(), &byte, 1) == 1);
      std::this_thread::yield();
    }
  });
  StdioConsumer consumer(ends.in());
  Taken<Object> taken = consumer.pop();
  REQUIRE(taken);
  CHECK(text(*taken) == "payload");
  CHECK(consumer.pop().ended());
  CHECK(consumer.offset() == stream.size());
  writer.join();
}

TEST_CASE("descriptors that do not block are waited for") {
  const Watchdog watchdog;
  Ends ends = Ends::pipe(O_NONBLOCK);
  const std::string payload = pattern(8 << 20);
  std::thread writer([&] {
    StdioProducer producer(ends.out());
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the reader finds nothing first
    producer.write(frame_of(payload));
  });
  StdioConsumer consumer(ends.in());
  Taken<Object> taken = consumer.pop();
  REQUIRE(taken);
  CHECK(text(*taken) == payload);
  CHECK(consumer.pop().ended());
  writer.join();
}

TEST_CASE("a closed reader is an error for the writer, not the end of the process") {
  const bool deadly = std::signal(SIGPIPE, SIG_DFL) != SIG_ERR;
  REQUIRE(deadly);
  for (const bool sockets : {false, true}) {
    Ends ends = sockets ? Ends::sockets() : Ends::pipe();
    StdioProducer producer(ends.out());
    producer.write(frame_of("read by nobody"));
    ends.close_in();
    CHECK_THROWS_AS(producer.write(frame_of("too late")), BrokenPipe);
    CHECK_THROWS_AS(producer.write(frame_of("after a failure")), Closed);
    sigset_t set{};
    sigpending(&set);
    CHECK(sigismember(&set, SIGPIPE) == 0);
    pthread_sigmask(SIG_BLOCK, nullptr, &set);
    CHECK(sigismember(&set, SIGPIPE) == 0);
  }
}

TEST_CASE("a reader that goes away in the middle of a frame is an error for the writer") {
  const Watchdog watchdog;
  Ends ends = Ends::pipe();
  std::thread reader([&] {
    char buffer[1000];
    CHECK(::read(ends.in(), buffer, sizeof buffer) == sizeof buffer);
    ends.close_in();
  });
  StdioProducer producer(ends.out());
  const std::string payload = pattern(20 << 20);
  CHECK_THROWS_AS(producer.write(frame_of(payload)), BrokenPipe);
  reader.join();
}

TEST_CASE("a SIGPIPE that its owner keeps waiting goes on waiting") {
  sigset_t sigpipe{};
  sigset_t before{};
  sigaddset(&sigpipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
  pthread_kill(pthread_self(), SIGPIPE);
  Ends ends = Ends::pipe();
  ends.close_in();
  StdioProducer producer(ends.out());
  CHECK_THROWS_AS(producer.write(frame_of("x")), BrokenPipe);
  const timespec now{};
  CHECK(sigtimedwait(&sigpipe, nullptr, &now) == SIGPIPE);
  CHECK(sigtimedwait(&sigpipe, nullptr, &now) == -1);
  CHECK_THROWS_AS(producer.write(frame_of("x")), Closed);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_CASE("a producer writes the end once, and nothing after it") {
  Ends ends = Ends::pipe();
  StdioProducer producer(ends.out());
  producer.close();
  producer.close();
  CHECK_THROWS_AS(producer.write(frame_of("x")), Closed);
  ends.close_out();
  CHECK(read_rest(ends.in()).size() == sizeof(wire::StdioHeader) + wire::kSentinelSize);
}

TEST_CASE("what no reader would take is not written") {
  Ends ends = Ends::pipe();
  {
    StdioProducer producer(ends.out());
    CHECK_THROWS_AS(producer.write({"", {}}), InvalidArgument);
    CHECK_THROWS_AS(producer.write({"[1]", {}}), InvalidArgument);
    producer.write(frame_of("x"));
  }
  StdioConsumer consumer(ends.in());
  CHECK(consumer.pop());
  CHECK(consumer.pop().ended());
}

TEST_CASE("a reader leaves what follows the end to others") {
  Ends ends = Ends::pipe();
  StdioProducer(ends.out()).write(frame_of("ours"));
  REQUIRE(::write(ends.out(), "theirs", 6) == 6);
  ends.close_out();
  StdioConsumer consumer(ends.in());
  CHECK(consumer.pop());
  CHECK(consumer.pop().ended());
  CHECK(read_rest(ends.in()) == "theirs");
}

TEST_CASE("two readers take turns on one descriptor") {
  Ends ends = Ends::pipe();
  {
    StdioProducer producer(ends.out());
    producer.write(frame_of("one"));
    producer.write(frame_of("two"));
  }
  StdioConsumer first(ends.in());
  StdioConsumer second(ends.in());
  Taken<Object> one = first.pop();
  Taken<Object> two = second.pop();
  REQUIRE((one && two));
  CHECK(text(*one) == "one");
  CHECK(text(*two) == "two");
  CHECK(first.pop().ended());
}

TEST_CASE("a stream that broke off never looks as if it had ended") {
  Ends ends = Ends::pipe();
  REQUIRE(::write(ends.out(), "shmstdio\1", 9) == 9);
  ends.close_out();
  StdioConsumer consumer(ends.in());
  CHECK_THROWS_AS(static_cast<void>(consumer.pop()), Truncated);
  CHECK_THROWS_AS(static_cast<void>(consumer.pop()), Corrupt);
  CHECK_THROWS_AS(static_cast<void>(consumer.pop()), Corrupt);
}

TEST_CASE("the frame after one with bad metadata can be read") {
  Ends ends = Ends::pipe();
  {
    StdioProducer producer(ends.out());
    producer.write({"{}", {}});
    producer.write(frame_of("sound"));
  }
  StdioConsumer consumer(ends.in());
  CHECK_THROWS_AS(static_cast<void>(consumer.pop()), Corrupt);
  Taken<Object> taken = consumer.pop();
  REQUIRE(taken);
  CHECK(text(*taken) == "sound");
}

TEST_CASE("the limit counts metadata and payload together, itself included") {
  for (const std::uint64_t missing : {0U, 1U}) {
    Ends ends = Ends::pipe();
    StdioProducer(ends.out()).write(frame_of("payload"));
    StdioConsumer consumer(ends.in(), kBytesMetadata.size() + 7 - missing);
    if (missing == 0) {
      CHECK(consumer.pop());
    } else {
      CHECK_THROWS_AS(static_cast<void>(consumer.pop()), Corrupt);
    }
  }
}

TEST_CASE("a length that lies costs address space, but no memory") {
  Ends ends = Ends::pipe();
  const std::uint64_t size = std::uint64_t{4} << 30;
  const auto metadata_size = static_cast<std::uint32_t>(kBytesMetadata.size());
  wire::StdioHeader header{wire::kStdioMagic, 1, metadata_size, size - metadata_size, 0};
  header.sentinel = wire::stdio_sentinel(header.kind, header.metadata_size, header.payload_size);
  REQUIRE(::write(ends.out(), &header, sizeof header) == sizeof header);
  REQUIRE(::write(ends.out(), kBytesMetadata.data(), kBytesMetadata.size()) ==
          static_cast<ssize_t>(kBytesMetadata.size()));
  ends.close_out();
  [[maybe_unused]] const auto peak_kib = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  [[maybe_unused]] const long before = peak_kib();
  StdioConsumer consumer(ends.in());
  CHECK_THROWS_AS(static_cast<void>(consumer.pop()), Truncated);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // their shadow memory is memory, too
  CHECK(peak_kib() - before < 64 << 10);
#endif
}

TEST_CASE("pipes are made as large as the kernel allows") {
  int most = 0;
  std::ifstream("/proc/sys/fs/pipe-max-size") >> most;
  REQUIRE(most > 0);
  Ends ends = Ends::pipe();
  const int before = ::fcntl(ends.out(), F_GETPIPE_SZ);
  const StdioConsumer consumer(ends.in());
  CHECK(::fcntl(ends.out(), F_GETPIPE_SZ) == most);
  CHECK(before < most);
}

TEST_CASE("files that are no pipes are read and written as well") {
  char path[] = "/tmp/shmlane-test-XXXXXX";
  const int fd = ::mkstemp(path);
  REQUIRE(fd >= 0);
  ::unlink(path);
  StdioProducer(fd).write(frame_of("payload"));
  REQUIRE(::lseek(fd, 0, SEEK_SET) == 0);
  StdioConsumer consumer(fd);
  Taken<Object> taken = consumer.pop();
  REQUIRE(taken);
  CHECK(text(*taken) == "payload");
  CHECK(consumer.pop().ended());
  ::close(fd);
}

TEST_CASE("a descriptor that is not open is a SystemError") {
  StdioConsumer consumer(-1);
  CHECK_THROWS_AS(static_cast<void>(consumer.pop()), SystemError);
  StdioProducer producer(-1);
  CHECK_THROWS_AS(producer.write(frame_of("x")), SystemError);
}

}  // namespace
