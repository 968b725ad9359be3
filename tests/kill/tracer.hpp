// SPDX-License-Identifier: Apache-2.0
// Walks a process instruction by instruction (ptrace) and counts what changes the world: bytes of the segment that are
// others than before, and system calls that came back. x86-64 only.
//
// All instructions between two such events leave the world as it was: they form one class, and a death at any of them
// is the same death. One walk notes where each event happens; to die right before one of them a process runs at full speed
// to a breakpoint there. All processes are forked from one and have the same addresses.
//
// The kernel's code for reading clocks (vDSO) is no step of ours, and would begin anew at each tick: it runs unwalked.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace kill_tests {

// Marks, in the walked process, where the walk begins and ends.
void begin_of_walk();
void end_of_walk();

struct Place {
  std::uint64_t address;  // of an instruction
  std::uint64_t visit;    // how often it has been reached, this time included
};

class Tracer {
 public:
  // Of a child that is going to call begin_of_walk() and works on this segment.
  Tracer(pid_t process, const std::string& segment);
  ~Tracer();
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;

  // Walks to end_of_walk(), after which it runs on. The places of all events.
  [[nodiscard]] std::vector<Place> walk();
  [[nodiscard]] std::uint64_t instructions() const noexcept { return instructions_; }
  // Kills it before the instruction at that place, or at end_of_walk() if there is none. False if it did not get there.
  [[nodiscard]] bool kill_at(const std::optional<Place>& place);

  // Removes the temporary files of glibc's sem_open that the process left; returns how many.
  [[nodiscard]] unsigned remove_temporaries() const;

 private:
  class View;
  enum class Kind : std::uint8_t { kPlain, kSystemCall, kBreakpoint };
  [[nodiscard]] Kind kind_at(std::uint64_t address);
  [[nodiscard]] std::uint64_t address() const;
  [[nodiscard]] std::uint64_t return_address() const;
  void go_to(std::uint64_t address) const;
  void note_temporaries();
  // Runs on by such a request until it is trapped again.
  void go_on(int request);
  // Runs at full speed until it reaches that address; false if it was trapped elsewhere.
  [[nodiscard]] bool run_to(std::uint64_t address);

  pid_t process_;
  std::unique_ptr<View> view_;
  std::unordered_map<std::uint64_t, Kind> kinds_;
  std::uint64_t clocks_begin_ = 0;  // of the vDSO
  std::uint64_t clocks_end_ = 0;
  std::uint64_t instructions_ = 0;
  std::vector<std::string> temporaries_;
};

// "" if processes can be walked here, else why not.
[[nodiscard]] std::string why_no_walk();

}  // namespace kill_tests
