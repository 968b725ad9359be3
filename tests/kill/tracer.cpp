// SPDX-License-Identifier: Apache-2.0
// Single-stepping by ptrace, and a view of the segment that tells whether anything in it changed.
#include "tracer.hpp"

#if defined(__x86_64__)
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "support/processes.hpp"
#include "support/raw_segment.hpp"

namespace kill_tests {

using processes::expect;

void begin_of_walk() {
  expect(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0, "ptrace is not allowed here");
  asm volatile("int3");
}

void end_of_walk() { asm volatile("int3"); }

// What is compared after each instruction: header, the entries that such a small queue uses, control page, the ring.
class Tracer::View {
 public:
  explicit View(std::string name) : name_(std::move(name)) { look_again(); }

  // After a system call: the name may lead to another file, or to a longer one.
  void look_again() {
    struct stat status {};
    const bool there = ::stat(raw::path_of(name_).c_str(), &status) == 0 && status.st_size != 0;
    if (!there || (status.st_ino == inode_ && status.st_size == size_)) return;
    inode_ = status.st_ino;
    size_ = status.st_size;
    segment_.emplace(name_);
    copy_.assign(segment_->bytes(), segment_->bytes() + segment_->size());
  }

  // Whether bytes changed since the last look.
  [[nodiscard]] bool changed() {
    if (!segment_) return false;
    bool any = false;
    for (const auto& [begin, length] : kParts) {
      if (begin + length > copy_.size()) break;
      if (std::memcmp(copy_.data() + begin, segment_->bytes() + begin, length) == 0) continue;
      std::memcpy(copy_.data() + begin, segment_->bytes() + begin, length);
      any = true;
    }
    return any;
  }

 private:
  struct Part {
    std::size_t begin, length;
  };
  static constexpr std::array<Part, 4> kParts{{
      {0, sizeof(shmlane::wire::SegmentHeader)},
      {shmlane::wire::kTableOffset, 16 * sizeof(shmlane::wire::ParticipantEntry)},
      {shmlane::wire::kControlOffset, sizeof(shmlane::wire::RingControl)},
      {shmlane::wire::kBodyOffset, 4096},
  }};
  std::string name_;
  ino_t inode_ = 0;
  off_t size_ = 0;
  std::optional<raw::Segment> segment_;
  std::vector<std::byte> copy_;
};

Tracer::Tracer(pid_t process, const std::string& segment) : process_(process) {
  int status = 0;
  ::waitpid(process_, &status, 0);
  expect(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP, "the victim ended before its walk began");
  ::ptrace(PTRACE_SETOPTIONS, process_, nullptr, PTRACE_O_EXITKILL);
  view_ = std::make_unique<View>(segment);
  std::ifstream maps("/proc/" + std::to_string(process_) + "/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("[vdso]") == line.npos) continue;
    clocks_begin_ = std::stoull(line, nullptr, 16);
    clocks_end_ = std::stoull(line.substr(line.find('-') + 1), nullptr, 16);
  }
}

Tracer::~Tracer() = default;

std::vector<Place> Tracer::walk() {
  std::vector<Place> events;
  std::unordered_map<std::uint64_t, std::uint64_t> visits;
  for (;;) {
    const std::uint64_t at = address();
    if (at >= clocks_begin_ && at < clocks_end_) {
      expect(run_to(return_address()), "a clock's reading did not come back");
      continue;
    }
    const Kind kind = kind_at(at);
    if (kind == Kind::kBreakpoint) {
      go_to(at + 1);
      ::ptrace(PTRACE_DETACH, process_, nullptr, nullptr);
      return events;
    }
    const std::uint64_t visit = ++visits[at];
    go_on(PTRACE_SINGLESTEP);
    ++instructions_;
    const bool changed = view_->changed();
    if (changed || kind == Kind::kSystemCall) events.push_back({at, visit});
    if (kind == Kind::kSystemCall) view_->look_again();
  }
}

bool Tracer::kill_at(const std::optional<Place>& place) {
  bool there = true;
  for (std::uint64_t visit = 1; place && there; ++visit) {
    there = run_to(place->address);
    if (there && visit == place->visit) break;
    if (there) go_on(PTRACE_SINGLESTEP);
  }
  if (!place) go_on(PTRACE_CONT);
  if (there) {
    note_temporaries();
    ::kill(process_, SIGKILL);
  } else {
    ::ptrace(PTRACE_DETACH, process_, nullptr, nullptr);
  }
  return there;
}

bool Tracer::run_to(std::uint64_t address) {
  constexpr long kBreakpoint = 0xcc;
  const long word = ::ptrace(PTRACE_PEEKTEXT, process_, address, nullptr);
  ::ptrace(PTRACE_POKETEXT, process_, address, (word & ~0xffL) | kBreakpoint);
  go_on(PTRACE_CONT);
  ::ptrace(PTRACE_POKETEXT, process_, address, word);
  const bool there = this->address() == address + 1;
  if (there) go_to(address);
  return there;
}

void Tracer::go_on(int request) {
  int status = 0;
  ::ptrace(static_cast<__ptrace_request>(request), process_, nullptr, nullptr);
  ::waitpid(process_, &status, 0);
  expect(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP, "the victim ended in the middle of its walk");
}

std::uint64_t Tracer::address() const {
  return static_cast<std::uint64_t>(::ptrace(PTRACE_PEEKUSER, process_, offsetof(user_regs_struct, rip), nullptr));
}

// Right after a call.
std::uint64_t Tracer::return_address() const {
  const long stack = ::ptrace(PTRACE_PEEKUSER, process_, offsetof(user_regs_struct, rsp), nullptr);
  return static_cast<std::uint64_t>(::ptrace(PTRACE_PEEKDATA, process_, stack, nullptr));
}

Tracer::Kind Tracer::kind_at(std::uint64_t address) {
  if (const auto found = kinds_.find(address); found != kinds_.end()) return found->second;
  const long word = ::ptrace(PTRACE_PEEKTEXT, process_, address, nullptr);
  Kind kind = Kind::kPlain;
  if ((word & 0xffff) == 0x050f) kind = Kind::kSystemCall;
  if ((word & 0xff) == 0xcc) kind = Kind::kBreakpoint;
  return kinds_.emplace(address, kind).first->second;
}

void Tracer::go_to(std::uint64_t address) const {
  ::ptrace(PTRACE_POKEUSER, process_, offsetof(user_regs_struct, rip), address);
}

// sem_open makes a file of a random name, open meanwhile, and links the semaphore's name to it.
void Tracer::note_temporaries() {
  constexpr std::string_view kStem = "/dev/shm/sem.";
  for (const auto& open : std::filesystem::directory_iterator("/proc/" + std::to_string(process_) + "/fd")) {
    std::error_code gone;
    const std::string file = std::filesystem::read_symlink(open.path(), gone).string();
    if (file.starts_with(kStem) && file.size() == kStem.size() + 6) temporaries_.push_back(file);
  }
}

unsigned Tracer::remove_temporaries() const {
  unsigned count = 0;
  for (const std::string& file : temporaries_) count += std::filesystem::remove(file);
  return count;
}

std::string why_no_walk() {
  processes::Child child([] {
    begin_of_walk();
    end_of_walk();
  });
  try {
    static_cast<void>(Tracer(child.pid(), "none").walk());
    return child.join();
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace kill_tests
#else

namespace kill_tests {

class Tracer::View {};
Tracer::Tracer(pid_t process, const std::string&) : process_(process) {}
Tracer::~Tracer() = default;
std::vector<Place> Tracer::walk() { return {}; }
bool Tracer::kill_at(const std::optional<Place>&) { return false; }
unsigned Tracer::remove_temporaries() const { return 0; }
void begin_of_walk() {}
void end_of_walk() {}
std::string why_no_walk() { return "only x86-64 is walked"; }

}  // namespace kill_tests
#endif
