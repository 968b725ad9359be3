// SPDX-License-Identifier: Apache-2.0
// A machine without a GPU that keeps the contract of one: memory, events and CUDA streams of the stand-in driver.
//
// Device memory is memory of the kernel that other processes open by its owner's process, so a handle ends with its
// owner, as with the real driver. Addresses are such that the host cannot use them by mistake. Streams are threads; the
// environment may slow them (SHMLANE_STANDIN_DELAY_US), so that what nobody waited for shows. What no driver allows is
// refused, and written to the file SHMLANE_STANDIN_LOG.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace standin {

using Address = std::uint64_t;  // as users see it
inline constexpr Address kBias = Address{1} << 61;

inline std::byte* real(Address address) { return reinterpret_cast<std::byte*>(address ^ kBias); }
inline Address fake(void* memory) { return reinterpret_cast<Address>(memory) ^ kBias; }

long number_from_environment(const char* name, long otherwise);
void misuse(const std::string& what);

struct Piece {  // of device memory
  std::byte* memory;
  std::uint64_t size;
  int device;
  int file = -1;        // of what this process owns
  bool pooled = false;  // cannot be shared
  bool opened = false;  // another process's
  bool mapped = false;  // virtual memory
  bool usable = true;   // which that is only with access
};

struct Physical {  // what virtual memory is made of
  int file;
  std::uint64_t size;
  bool imported;
};

class Event {
 public:
  struct Words {
    std::atomic<std::uint64_t> recorded{0}, done{0};
  };
  explicit Event(bool shared);
  Event(int file, bool own);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  [[nodiscard]] int file() const { return file_; }
  Words& words() { return *words_; }
  // Until what was recorded by `turn` is done.
  void wait(std::uint64_t turn);

 private:
  int file_ = -1;
  std::unique_ptr<Words> private_;
  Words* words_;
};

class Stream {
 public:
  Stream();
  void give(std::function<void()> work);
  void synchronise();

 private:
  void run();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;
  bool busy_ = false;
};

// All that this process has. Never destroyed: streams' threads end with the process.
struct Machine {
  std::mutex mutex;
  pid_t owner = 0;           // who initialised it
  std::vector<int> visible;  // which devices there are, by their numbers in the machine
  std::map<Address, Piece> pieces;
  std::map<std::uint64_t, Physical> physical;  // by handles
  std::map<Address, std::uint64_t> reserved;   // addresses, with how many
  std::uint64_t last_handle = 0;
  std::map<Event*, std::unique_ptr<Event>> events;
  std::map<Stream*, std::unique_ptr<Stream>> streams;
  std::unique_ptr<Stream> default_stream;

  // The piece that holds [address, address + size), if there is one. Under the mutex.
  Piece* find(Address address, std::uint64_t size = 1);
};

Machine& machine();

// A file of the kernel's memory of a size, or one that another process owns, by /proc; -1 if that one is gone.
int make_file(std::uint64_t size);
int open_file(pid_t owner, int number);
std::byte* map_file(int file, std::uint64_t size);

}  // namespace standin
