// SPDX-License-Identifier: Apache-2.0
// The C++ side of the tests across languages; worker.py is its twin and takes the same words.
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "shmlane/codecs.hpp"
#include "shmlane/ndarray.hpp"
#include "shmlane/queue.hpp"
#include "shmlane/stdio.hpp"
#include "shmlane/value.hpp"

namespace {

using namespace std::chrono_literals;
using Bytes = std::span<const std::byte>;

struct Stamp {  // the first bytes of every object that produce() pushes
  std::uint64_t producer;
  std::uint64_t sequence;
};

std::uint64_t size_of(const Stamp& stamp, std::uint64_t max_size) {
  const std::uint64_t extra = (stamp.producer * 40503 + stamp.sequence * 2654435761) & 0xffffffff;
  return sizeof(Stamp) + extra % (max_size - sizeof(Stamp) + 1);
}

std::byte byte_at(const Stamp& stamp, std::uint64_t i) {
  return static_cast<std::byte>(stamp.producer * 131 + stamp.sequence * 31 + i * 7);
}

int produce(const std::string& queue, std::uint64_t producer, std::uint64_t count, std::uint64_t max_size,
            shmlane::Policy policy = shmlane::Policy::kBlock) {
  shmlane::Producer tx(queue, {{}, policy});
  std::vector<std::byte> object;
  for (Stamp stamp{producer, 0}; stamp.sequence < count; ++stamp.sequence) {
    object.resize(size_of(stamp, max_size));
    std::memcpy(object.data(), &stamp, sizeof stamp);
    for (std::uint64_t i = sizeof stamp; i < object.size(); ++i) object[i] = byte_at(stamp, i);
    tx.push(Bytes(object));
  }
  return 0;
}

// Writes the stamps in the order of arrival; fails at the first byte that is wrong.
int consume(const std::string& queue, std::uint64_t max_size, const std::string& log) {
  shmlane::Consumer rx(queue);
  std::ofstream out(log, std::ios::binary);
  while (const auto lease = rx.acquire()) {
    const Bytes object = lease->payload();
    Stamp stamp{};
    if (object.size() < sizeof stamp) return 3;
    std::memcpy(&stamp, object.data(), sizeof stamp);
    if (object.size() != size_of(stamp, max_size)) return 4;
    for (std::uint64_t i = sizeof stamp; i < object.size(); ++i) {
      if (object[i] != byte_at(stamp, i)) return 5;
    }
    out.write(reinterpret_cast<const char*>(&stamp), sizeof stamp);
  }
  return out.flush().good() ? 0 : 6;
}

// Decodes each object to a Value, encodes it anew and pushes it, so that both of C++'s ways are gone.
int echo(const std::string& from, const std::string& to) {
  shmlane::Consumer rx(from);
  shmlane::Producer tx(to, {{.capacity = std::uint64_t{160} << 20}});
  while (const auto lease = rx.acquire()) tx.push(lease->get<shmlane::Value>());
  return 0;
}

// Frames as they are, from descriptor 0 to descriptor 1.
int echo_stdio() {
  shmlane::StdioConsumer rx;
  shmlane::StdioProducer tx;
  while (auto object = rx.pop()) tx.push(object->get<shmlane::Value>());
  tx.close();
  return 0;
}

int produce_and_reserve(const std::string& queue, std::uint64_t producer, std::uint64_t count, std::uint64_t max_size) {
  produce(queue, producer, count, max_size);
  shmlane::Producer tx(queue);
  const auto place = tx.reserve(R"({"type":"bytes"})", max_size);
  std::fill(place->payload().begin(), place->payload().end(), std::byte{1});
  hold();
}

int lease(const std::string& queue, std::uint64_t count) {
  shmlane::Consumer rx(queue);
  const std::vector<shmlane::Lease> held = rx.acquire_many(count);
  if (held.size() != count) return 7;
  hold();
}

int run(const std::vector<std::string>& words) {
  if (const auto status = run_arrays(words)) return *status;
  const auto number = [&](std::size_t place) { return std::stoull(words.at(place)); };
  const std::string verb = words.empty() ? "" : words[0];
  if (words.size() == 5 && verb == "produce") return produce(words[1], number(2), number(3), number(4));
  if (words.size() == 5 && verb == "produce-dropping") {
    return produce(words[1], number(2), number(3), number(4), shmlane::Policy::kDropOldest);
  }
  if (words.size() == 4 && verb == "consume") return consume(words[1], number(2), words[3]);
  if (words.size() == 3 && verb == "echo") return echo(words[1], words[2]);
  if (words.size() == 1 && verb == "echo-stdio") return echo_stdio();
  if (words.size() == 5 && verb == "produce-and-reserve") {
    return produce_and_reserve(words[1], number(2), number(3), number(4));
  }
  if (words.size() == 3 && verb == "lease") return lease(words[1], number(2));
  std::cerr
      << "usage: worker produce QUEUE ID COUNT MAX | produce-dropping QUEUE ID COUNT MAX | consume QUEUE MAX LOG |\n"
         "              echo FROM TO | echo-stdio | produce-and-reserve QUEUE ID COUNT MAX | lease QUEUE COUNT\n";
  return 2;
}

}  // namespace

void hold() {
  std::cout << "holding" << std::endl;
  for (;;) ::pause();
}

int main(int count, char** words) {
  try {
    return run({words + 1, words + count});
  } catch (const std::exception& error) {
    std::cerr << "worker: " << error.what() << '\n';
    return 1;
  }
}
