// SPDX-License-Identifier: Apache-2.0
// Files in /dev/shm. Boost opens and maps; it neither allocates memory ahead (posix_fallocate) nor compares files.
#include "os/shm.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <new>

#include "shmlane/error.hpp"

namespace shmlane::os {
namespace bip = boost::interprocess;
namespace {

constexpr const char* kDirectory = "/dev/shm/";

std::string mebibytes(std::uint64_t bytes) { return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB"; }

[[noreturn]] void throw_no_space(std::uint64_t wanted, std::uint64_t free) {
  throw NoSpace("/dev/shm is full: " + mebibytes(wanted) + " are needed and " + mebibytes(free) +
                " are free; ask for a smaller capacity, remove left-over segments (shmlane ls), or enlarge it "
                "(mount -o remount,size=…, docker run --shm-size=…)");
}

[[noreturn]] void throw_open_error(const std::string& file_name, const bip::interprocess_exception& error) {
  const std::string what = "cannot open " + std::string(kDirectory) + file_name + ": ";
  if (error.get_error_code() == bip::security_error) {
    throw PermissionDenied(what + "permission denied; it belongs to another user (its owner can allow it by mode=)");
  }
  if (error.get_error_code() == bip::out_of_space_error) throw NoSpace(what + "no space left in /dev/shm");
  throw SystemError(what + std::strerror(static_cast<int>(error.get_native_error())));
}

// Asked before opening, which follows no link, but would wait for the other end of a pipe.
void refuse_what_is_no_file(const std::string& file_name) {
  const std::string path = kDirectory + file_name;
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode)) return;
  throw Foreign(path + " is a link, a pipe or the like, not a segment of shmlane; another program made it");
}

// A new open file description of the same file, or -1. Async-signal-safe.
int open_again(int fd, int mode) noexcept {
  char path[32] = "/proc/self/fd/";
  char* end = path + std::strlen(path);
  char digits[12];
  int count = 0;
  for (int rest = fd; count == 0 || rest > 0; rest /= 10) digits[count++] = static_cast<char>('0' + rest % 10);
  while (count > 0) *end++ = digits[--count];
  return ::open(path, mode | O_CLOEXEC);
}

// What mapped_region maps, closed again afterwards.
struct Descriptor {
  explicit Descriptor(int of) noexcept : number(of) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
  [[nodiscard]] bip::mapping_handle_t get_mapping_handle() const noexcept { return {number, false}; }
  int number;
};

}  // namespace

std::optional<ShmFile> ShmFile::open(const std::string& file_name, bool writable) {
  refuse_what_is_no_file(file_name);
  try {
    return ShmFile(
        bip::shared_memory_object(bip::open_only, file_name.c_str(), writable ? bip::read_write : bip::read_only));
  } catch (const bip::interprocess_exception& error) {
    if (error.get_error_code() == bip::not_found_error) return std::nullopt;
    throw_open_error(file_name, error);
  }
}

ShmFile ShmFile::open_or_create(const std::string& file_name, unsigned mode) {
  refuse_what_is_no_file(file_name);
  try {
    return ShmFile(bip::shared_memory_object(bip::open_or_create, file_name.c_str(), bip::read_write,
                                             bip::permissions(static_cast<int>(mode))));
  } catch (const bip::interprocess_exception& error) {
    throw_open_error(file_name, error);
  }
}

ShmFile::~ShmFile() {
  if (fd() < 0 || intact()) return;
  // Its number belongs to somebody else, whose file must not be closed: never destroyed.
  static_cast<void>(new (std::nothrow) bip::shared_memory_object(std::move(object_)));
}

std::uint64_t ShmFile::size() const {
  bip::offset_t size = 0;
  return object_.get_size(size) ? static_cast<std::uint64_t>(size) : 0;
}

void ShmFile::cut_off(std::uint64_t size) {
  if (this->size() > size && ::ftruncate(fd(), static_cast<off_t>(size)) != 0) {
    throw SystemError(std::string("cannot shorten shared memory: ") + std::strerror(errno));
  }
}

void ShmFile::allocate(std::uint64_t size) {
  struct statvfs space {};
  ::fstatvfs(fd(), &space);
  const std::uint64_t free = std::uint64_t{space.f_bavail} * space.f_frsize;
  const std::uint64_t missing = size - std::min(size, this->size());
  // Asked first, because a request that fills /dev/shm half-way would starve everybody else before it fails.
  if (space.f_blocks != 0 && missing > free) throw_no_space(missing, free);
  int error = 0;
  do {
    error = ::posix_fallocate(fd(), 0, static_cast<off_t>(size));
  } while (error == EINTR);
  if (error == ENOSPC || error == ENOMEM || error == EFBIG) throw_no_space(missing, free);
  if (error != 0) throw SystemError(std::string("cannot allocate shared memory: ") + std::strerror(error));
}

bip::mapped_region ShmFile::map(std::uint64_t offset, std::uint64_t size, bool writable) const {
  // A mapping keeps its open file description, and with it the description's locks, alive in forked children that
  // inherit it: so it gets one without locks.
  const int fresh = open_again(fd(), writable ? O_RDWR : O_RDONLY);
  const Descriptor mapped(fresh >= 0 ? fresh : ::dup(fd()));  // without /proc
  try {
    return {mapped, writable ? bip::read_write : bip::read_only, static_cast<bip::offset_t>(offset), size};
  } catch (const bip::interprocess_exception& error) {
    throw SystemError("cannot map " + mebibytes(size) + " of " + object_.get_name() +
                      " into memory: " + std::strerror(static_cast<int>(error.get_native_error())));
  }
}

bool ShmFile::has_name(const std::string& file_name) const noexcept {
  struct stat mine {};
  struct stat named {};
  return ::fstat(fd(), &mine) == 0 && ::lstat((kDirectory + file_name).c_str(), &named) == 0 &&
         mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
}

bool ShmFile::removable() const noexcept {
  struct stat status {};
  return ::geteuid() == 0 || (::fstat(fd(), &status) == 0 && status.st_uid == ::geteuid());
}

bool ShmFile::reopen() noexcept {
  if (!intact()) return false;
  int fresh = open_again(fd(), O_RDWR);
  const bool reopened = fresh >= 0;
  // Without /proc the number must at least stop to stand for the parent's description.
  if (!reopened) fresh = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (fresh < 0) return false;
  ::dup3(fresh, fd(), O_CLOEXEC);
  ::close(fresh);
  return reopened;
}

void ShmFile::remove(const std::string& file_name) noexcept { bip::shared_memory_object::remove(file_name.c_str()); }

std::vector<std::string> ShmFile::list(const std::string& prefix) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(kDirectory, error)) {
    const std::string file_name = entry.path().filename().string();
    if (file_name.starts_with(prefix)) names.push_back(file_name.substr(prefix.size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace shmlane::os
