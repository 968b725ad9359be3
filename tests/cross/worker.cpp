// SPDX-License-Identifier: Apache-2.0
// The C++ side of the tests across languages; worker.py is its twin and takes the same words.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

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

int produce(const std::string& queue, std::uint64_t producer, std::uint64_t count, std::uint64_t max_size) {
  shmlane::Producer tx(queue);
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

}  // namespace

int main(int count, char** words) {
  const std::vector<std::string> arguments(words + 1, words + count);
  try {
    if (count == 6 && arguments[0] == "produce") {
      return produce(arguments[1], std::stoull(arguments[2]), std::stoull(arguments[3]), std::stoull(arguments[4]));
    }
    if (count == 5 && arguments[0] == "consume") return consume(arguments[1], std::stoull(arguments[2]), arguments[3]);
    if (count == 4 && arguments[0] == "echo") return echo(arguments[1], arguments[2]);
    if (count == 2 && arguments[0] == "echo-stdio") return echo_stdio();
  } catch (const std::exception& error) {
    std::cerr << "worker: " << error.what() << '\n';
    return 1;
  }
  std::cerr << "usage: worker produce QUEUE ID COUNT MAX | consume QUEUE MAX LOG | echo FROM TO | echo-stdio\n";
  return 2;
}
