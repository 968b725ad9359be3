// SPDX-License-Identifier: Apache-2.0
// Stream: the latest value of one array, its life and its writing (SPEC section 11).
#include <algorithm>
#include <array>
#include <csignal>
#include <string>
#include <vector>

#include "shmlane/inspect.hpp"
#include "shmlane/queue.hpp"
#include "support/processes.hpp"
#include "support/raw_segment.hpp"
#include "support/stream_test.hpp"

namespace {

using processes::Child;
using processes::expect;
using shmlane::Dims;
using shmlane::DType;
using shmlane::no_wait;
using shmlane::Stream;

TEST_CASE_FIXTURE(StreamTest, "a fresh stream is all zeros, and its count is nought") {
  const Stream stream = create({2, 3});
  CHECK(read(stream) == row(0, 6));
  CHECK(stream.count() == 0);
  CHECK(stream.stat().write_time_ns == 0);
  CHECK(stream.stat().write_sequence == 0);
  CHECK_FALSE(stream.stat().writer_alive);
}

TEST_CASE_FIXTURE(StreamTest, "a reader gets the newest value, whoever wrote it") {
  Stream mine = create();
  Stream yours = open();
  CHECK(mine.write(row(1)) == 1);
  CHECK(yours.write(row(2)) == 2);
  CHECK(read(mine) == row(2));
  CHECK(read(yours) == row(2));
  CHECK(processes::run_in_child([&] { expect(open().write(row(3)) == 3, "count"); }) == "");
  CHECK(read(mine) == row(3));
}

TEST_CASE_FIXTURE(StreamTest, "an opened stream has the shape and dtype that it was created with") {
  const auto check = [&](const DType& dtype, const Dims& shape) {
    const Stream made = create(shape, dtype);
    const Stream found = open();
    CHECK(found.dtype() == dtype);
    CHECK(found.shape() == shape);
    CHECK(found.nbytes() == made.nbytes());
    CHECK(made.owner());
    CHECK_FALSE(found.owner());
    shmlane::unlink_stream(name("s"));
  };
  check(DType("<f8"), {480, 640, 3});
  check(DType(">i2"), {});
  check(DType("bfloat16"), {7});
  check(DType("<M8[ns]"), {0, 3});
  check(DType::parse(shmlane::Json::parse(R"([["a","<f4"],["b","|u1",[3]]])")), {5});
}

TEST_CASE_FIXTURE(StreamTest, "creating a stream that exists is an error that says to open it") {
  const Stream first = create();
  CHECK_THROWS_WITH_AS(create(), doctest::Contains("open it"), shmlane::Exists);
}

TEST_CASE_FIXTURE(StreamTest, "opening a stream that does not exist is an error, and leaves nothing behind") {
  CHECK_THROWS_AS(open(), shmlane::NotFound);
  CHECK(files().empty());
}

TEST_CASE_FIXTURE(StreamTest, "a stream is no queue, and a queue no stream") {
  const Stream stream = create();
  CHECK_THROWS_AS(shmlane::Producer(name("s")), shmlane::WrongKind);
  shmlane::Producer producer(name("q"));
  CHECK_THROWS_AS(Stream::open(name("q")), shmlane::WrongKind);
  CHECK_THROWS_AS(shmlane::unlink_stream(name("q")), shmlane::WrongKind);
  shmlane::Consumer consumer(name("q"));
}

TEST_CASE_FIXTURE(StreamTest, "unlinking what is not there is silent") {
  CHECK_FALSE(shmlane::unlink_stream(name("s")));
}

TEST_CASE_FIXTURE(StreamTest, "a stream has one file, and no semaphore") {
  const Stream stream = create();
  CHECK(files() == std::vector<std::string>{"shmlane." + name("s")});
}

TEST_CASE_FIXTURE(StreamTest, "a stream outlives its creator until it is unlinked") {
  CHECK(processes::run_in_child([&] { create().write(row(5)); }) == "");
  CHECK(read(open()) == row(5));
  CHECK(std::ranges::count(shmlane::list_streams(), name("s")) == 1);
  CHECK(shmlane::unlink_stream(name("s")));
  CHECK(files().empty());
}

TEST_CASE_FIXTURE(StreamTest, "with auto_unlink a stream goes with the handle that created it") {
  Stream made = create({4}, kFloat, {.auto_unlink = true});
  Stream found = open();
  found.close();
  CHECK(exists("s"));
  CHECK(processes::run_in_child([&] {
          static_cast<void>(made.acquire(no_wait));
          made.close();
        }) == "");
  CHECK(exists("s"));
  made.close();
  CHECK_FALSE(exists("s"));
}

TEST_CASE_FIXTURE(StreamTest, "every use of a handle whose stream was unlinked ends with Removed") {
  Stream stream = create();
  Stream other = open();
  other.unlink();
  std::vector<float> out(4);
  CHECK_THROWS_AS(stream.read(out), shmlane::Removed);
  CHECK_THROWS_AS(stream.write(row(1)), shmlane::Removed);
  CHECK_THROWS_AS(static_cast<void>(stream.count()), shmlane::Removed);
  CHECK_THROWS_AS(stream.wait_after(0, no_wait), shmlane::Removed);
  CHECK_THROWS_AS(stream.write_view(), shmlane::Removed);
  CHECK_NOTHROW(stream.close());
  Stream again = create();
  CHECK(read(again) == row(0));
}

TEST_CASE_FIXTURE(StreamTest,
                  "every use of a closed handle ends with Closed that names the stream and says to open it") {
  Stream stream = create();
  stream.close();
  stream.close();
  CHECK(stream.closed());
  const std::string text = "open(\"" + name("s") + "\")";
  std::vector<float> out(4);
  CHECK_THROWS_WITH_AS(stream.read(out), doctest::Contains(text.c_str()), shmlane::Closed);
  CHECK_THROWS_WITH_AS(stream.write(row(1)), doctest::Contains(text.c_str()), shmlane::Closed);
  CHECK_THROWS_WITH_AS(stream.acquire(), doctest::Contains(text.c_str()), shmlane::Closed);
  CHECK_THROWS_WITH_AS(stream.unlink(), doctest::Contains(text.c_str()), shmlane::Closed);
}

TEST_CASE_FIXTURE(StreamTest, "a value of another shape, size or dtype is refused with what was expected") {
  Stream stream = create({2, 2});
  const std::array<double, 4> doubles{};
  CHECK_THROWS_WITH_AS(stream.write(doubles), doctest::Contains("expected shape (2, 2) of <f4"),
                       shmlane::InvalidArgument);
  CHECK_THROWS_AS(stream.write(row(1, 3)), shmlane::InvalidArgument);
  CHECK_THROWS_AS(stream.write(shmlane::NdView::of(kOnes)), shmlane::InvalidArgument);
  std::vector<float> small(3);
  CHECK_THROWS_AS(stream.read(small), shmlane::InvalidArgument);
  CHECK(stream.count() == 0);
}

TEST_CASE_FIXTURE(StreamTest, "strided values are gathered into C order") {
  Stream stream = create({2, 2});
  const std::array<float, 4> items{1, 2, 3, 4};
  shmlane::NdView view = shmlane::NdView::of(items, {2, 2});
  std::swap(view.strides[0], view.strides[1]);
  CHECK(stream.write(view) == 1);
  CHECK(read(stream) == std::vector<float>{1, 3, 2, 4});
}

TEST_CASE_FIXTURE(StreamTest, "clearing gives zeros, and counts as a write") {
  Stream stream = create();
  stream.write(row(7));
  CHECK(stream.clear() == 2);
  CHECK(read(stream) == row(0));
}

TEST_CASE_FIXTURE(StreamTest, "a write view is published by its commit and by nothing else") {
  Stream stream = create();
  stream.write(row(1));
  {
    auto view = stream.write_view();
    std::ranges::fill(view->as<float>(), 2.0F);
    CHECK(read(stream) == row(1));
    CHECK(stream.stat().write_sequence == 3);
  }
  CHECK(read(stream) == row(1));
  CHECK(stream.stat().write_sequence == 2);
  auto view = stream.write_view(true);
  CHECK(std::ranges::equal(view->as<float>(), row(1)));
  view->as<float>()[0] = 9;
  CHECK(view->commit() == 2);
  CHECK_THROWS_AS(view->commit(), shmlane::Closed);
  CHECK(read(stream) == std::vector<float>{9, 1, 1, 1});
  CHECK_THROWS_AS(static_cast<void>(stream.write_view()->as<double>()), shmlane::WrongType);
}

TEST_CASE_FIXTURE(StreamTest, "while a write view is open no other write of its thread can spoil it") {
  Stream stream = create();
  auto view = stream.write_view();
  CHECK_THROWS_AS(stream.write(row(1)), shmlane::InvalidArgument);
  view->abort();
  CHECK(stream.write(row(1)) == 1);
}

TEST_CASE_FIXTURE(StreamTest, "a write view outlives the closing of its handle, and may still be committed or not") {
  Stream stream = create();
  Stream other = open();
  auto view = stream.write_view();
  stream.close();
  CHECK_FALSE(other.acquire(no_wait));
  std::ranges::fill(view->as<float>(), 6.0F);
  CHECK(view->commit() == 1);
  CHECK(read(other) == row(6));
  CHECK(other.acquire(no_wait));
  other.release();
}

TEST_CASE_FIXTURE(StreamTest, "a forked child uses its parent's handle as a participant of its own") {
  Stream stream = create();
  stream.acquire();
  CHECK(processes::run_in_child([&] {
          expect(!stream.locked_here(), "the lock is the parent's");
          expect(!stream.acquire(no_wait), "the parent holds it");
          std::vector<float> out(4);
          stream.read(out);
        }) == "");
  stream.release();
  CHECK(processes::run_in_child([&] { expect(stream.write(row(3)) == 1, "a write"); }) == "");
  CHECK(read(stream) == row(3));
}

TEST_CASE_FIXTURE(StreamTest, "participants that died leave their places to newcomers") {
  const Stream stream = create();
  for (int i = 0; i < 3; ++i) {
    Child child([&] {
      const Stream mine = open();
      ::raise(SIGKILL);
    });
    CHECK(child.join() == "died of signal 9");
  }
  const raw::Segment segment(name("s"));
  CHECK(segment.header().used_entries == 2);
}

TEST_CASE_FIXTURE(StreamTest, "description tells what there is, one line a field") {
  Stream stream = create({480, 640}, DType("|u1"));
  stream.clear();
  const std::string text = stream.describe();
  for (const char* part : {"|u1", "(480, 640)", "307200 bytes", "count           1\n", "writer          process "}) {
    CHECK_MESSAGE(text.find(part) != text.npos, text);
  }
}

TEST_CASE_FIXTURE(StreamTest, "impossible arrays are refused before anything is made") {
  CHECK_THROWS_AS(create({-1}), shmlane::InvalidArgument);
  CHECK_THROWS_AS(create({1 << 30, 1 << 30}), shmlane::Error);
  CHECK_THROWS_AS(create({4}, kFloat, {.slots = 2}), shmlane::InvalidArgument);
  CHECK_THROWS_AS(create({1LL << 42}), shmlane::NoSpace);
  CHECK(files().empty());
}

}  // namespace
