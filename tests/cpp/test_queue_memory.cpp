// SPDX-License-Identifier: Apache-2.0
// Consumers short of memory: what they cannot copy is not lost.
#include <sys/resource.h>

#include <fstream>
#include <list>
#include <memory>
#include <new>

#include "shmlane/error.hpp"
#include "shmlane/queue.hpp"
#include "support/payloads.hpp"
#include "support/processes.hpp"
#include "support/shm.hpp"

namespace {

using namespace std::chrono_literals;
using payloads::text;
using processes::expect;
using shmlane::Consumer;
using shmlane::Producer;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // their shadow memory is address space, too
constexpr std::size_t kLarge = 8 << 20;

// Runs `work` while this process can have no more than a few pages.
template <class Work>
void without_memory(Work&& work) {
  rlimit before{};
  std::uint64_t pages = 0;
  expect(::getrlimit(RLIMIT_AS, &before) == 0 && std::ifstream("/proc/self/statm") >> pages, "no limits to be had");
  const rlimit now{pages * 4096 + kLarge / 4, before.rlim_max};
  expect(::setrlimit(RLIMIT_AS, &now) == 0, "the limit could not be set");
  std::list<std::unique_ptr<std::byte[]>> rest;  // what earlier tests gave back to the heap
  try {
    for (;;) rest.push_back(std::make_unique_for_overwrite<std::byte[]>(kLarge / 2));
  } catch (const std::bad_alloc&) {
  }
  work();
  expect(::setrlimit(RLIMIT_AS, &before) == 0, "the limit could not be taken back");
}

template <class Error>
bool pop_throws(Consumer& consumer) {
  try {
    static_cast<void>(consumer.pop());
  } catch (const Error&) {
    return true;
  }
  return false;
}

void push_small_and_large(Producer& producer) {
  producer.push("small");
  producer.push(std::vector<std::byte>(kLarge));
}

TEST_CASE_FIXTURE(ShmTest, "what there is no memory to copy goes back into the queue") {
  CHECK(processes::run_in_child([this] {
          Consumer consumer(name());
          Producer producer(name());
          push_small_and_large(producer);
          expect(text(*consumer.pop()) == "small", "the small one came wrong");
          without_memory([&] { expect(pop_throws<std::bad_alloc>(consumer), "there was memory after all"); });
          const auto again = consumer.pop(0s);
          expect(again && again->payload().size() == kLarge && again->attempt() == 1, "the large one is lost");
          expect(consumer.stat().used == 0, "something is still held");
        }) == "");
}

TEST_CASE_FIXTURE(ShmTest, "a batch for which memory runs out gives what it has, and the rest goes back") {
  CHECK(processes::run_in_child([this] {
          Consumer consumer(name());
          Producer producer(name());
          producer.push("first");
          expect(text(*consumer.pop()) == "first", "the first one came wrong");
          push_small_and_large(producer);
          producer.push("last");
          without_memory([&] { expect(consumer.pop_many(3).size() == 1, "more or less than there was memory for"); });
          const auto rest = consumer.pop_many(3);
          expect(rest.size() == 2 && rest[0].payload().size() == kLarge && text(rest[1]) == "last", "the rest is lost");
          expect(consumer.stat().used == 0, "something is still held");
        }) == "");
}

TEST_CASE_FIXTURE(ShmTest, "a queue that there is no memory to map is an error, and the next call may do better") {
  CHECK(processes::run_in_child([this] {
          Consumer consumer(name());
          Producer(name()).push("small");
          without_memory([&] { expect(pop_throws<shmlane::SystemError>(consumer), "there was memory after all"); });
          expect(text(*consumer.pop()) == "small", "the object is lost");
        }) == "");
}
#endif

}  // namespace
