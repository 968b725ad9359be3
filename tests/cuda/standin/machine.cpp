// SPDX-License-Identifier: Apache-2.0
// The stand-in's memory, events and CUDA streams.
#include "machine.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace standin {

long number_from_environment(const char* name, long otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr || *text == 0 ? otherwise : std::atol(text);
}

void misuse(const std::string& what) {
  const char* const path = std::getenv("SHMLANE_STANDIN_LOG");
  std::FILE* const file = path == nullptr ? stderr : std::fopen(path, "a");
  if (file == nullptr) return;
  std::fprintf(file, "misuse in process %d: %s\n", static_cast<int>(::getpid()), what.c_str());
  if (file == stderr) return;
  std::fclose(file);
}

int make_file(std::uint64_t size) {
  const int file = ::memfd_create("shmlane-standin", MFD_CLOEXEC);
  if (file < 0 || ::ftruncate(file, static_cast<off_t>(size)) != 0) std::abort();
  return file;
}

int open_file(pid_t owner, int number) {
  const std::string path = "/proc/" + std::to_string(owner) + "/fd/" + std::to_string(number);
  return ::open(path.c_str(), O_RDWR | O_CLOEXEC);
}

std::byte* map_file(int file, std::uint64_t size) {
  void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<std::byte*>(memory);
}

// ---- Event ------------------------------------------------------------------------------------------------------------

Event::Event(bool shared) {
  if (!shared) {
    private_ = std::make_unique<Words>();
    words_ = private_.get();
    return;
  }
  file_ = make_file(sizeof(Words));
  words_ = new (map_file(file_, sizeof(Words))) Words;
}

Event::Event(int file, bool own) : file_(own ? file : -1) {
  words_ = reinterpret_cast<Words*>(map_file(file, sizeof(Words)));
}

Event::~Event() {
  if (private_ == nullptr) ::munmap(words_, sizeof(Words));
  if (file_ >= 0) ::close(file_);
}

void Event::wait(std::uint64_t turn) {
  while (words_->done < turn) ::usleep(20);
}

// ---- Stream -----------------------------------------------------------------------------------------------------------

Stream::Stream() { std::thread(&Stream::run, this).detach(); }

void Stream::give(std::function<void()> work) {
  const std::lock_guard guard(mutex_);
  work_.push_back(std::move(work));
  changed_.notify_all();
}

void Stream::synchronise() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return work_.empty() && !busy_; });
}

void Stream::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return !work_.empty(); });
    const std::function<void()> work = std::move(work_.front());
    work_.pop_front();
    busy_ = true;
    lock.unlock();
    const long delay = number_from_environment("SHMLANE_STANDIN_DELAY_US", 0);
    if (delay > 0) ::usleep(static_cast<useconds_t>(delay));
    work();
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

// ---- Machine ----------------------------------------------------------------------------------------------------------

Machine& machine() {
  static auto* const machine = new Machine;
  return *machine;
}

Piece* Machine::find(Address address, std::uint64_t size) {
  auto after = pieces.upper_bound(address);
  if (after == pieces.begin()) return nullptr;
  auto& [base, piece] = *--after;
  const bool inside = piece.usable && address - base < piece.size && size <= piece.size - (address - base);
  return inside ? &piece : nullptr;
}

}  // namespace standin
