// SPDX-License-Identifier: Apache-2.0
// Files in /dev/shm and their mappings, on Boost.Interprocess.
#pragma once

#include <boost/interprocess/mapped_region.hpp>
#include <boost/interprocess/shared_memory_object.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "os/filelock.hpp"

namespace shmlane::os {

// One open file description of a file in /dev/shm. Movable.
class ShmFile {
 public:
  // Symbolic links are not followed, and what is no regular file is refused. Throws PermissionDenied, Foreign or
  // SystemError.
  static std::optional<ShmFile> open(const std::string& file_name, bool writable = true);
  static ShmFile open_or_create(const std::string& file_name, unsigned mode);
  ShmFile(ShmFile&&) noexcept = default;
  ShmFile& operator=(ShmFile&&) = delete;
  ~ShmFile();

  [[nodiscard]] int fd() const noexcept { return object_.get_mapping_handle().handle; }
  [[nodiscard]] std::uint64_t size() const;
  // Loses what is beyond that.
  void cut_off(std::uint64_t size);
  // Grows the file to `size` bytes, all of them backed by memory now, so that no later access can fail. Throws NoSpace,
  // which says how much there is, and leaves the file as it was.
  void allocate(std::uint64_t size);
  [[nodiscard]] boost::interprocess::mapped_region map(std::uint64_t offset, std::uint64_t size,
                                                       bool writable = true) const;
  // True while the name leads to this very file.
  [[nodiscard]] bool has_name(const std::string& file_name) const noexcept;
  // Whether this user may remove its name: of a directory with the sticky bit, that is the owner's, or root's, to do.
  [[nodiscard]] bool removable() const noexcept;
  // False once somebody has closed the descriptor behind our back.
  [[nodiscard]] bool intact() const noexcept { return known_.intact(); }
  // Replaces the open file description by a new one of the same file: a forked child must not share its parent's.
  // False if the system does not let us. Async-signal-safe.
  [[nodiscard]] bool reopen() noexcept;

  static void remove(const std::string& file_name) noexcept;
  // Names of the files in /dev/shm that begin with `prefix`, without it, sorted.
  static std::vector<std::string> list(const std::string& prefix);

 private:
  explicit ShmFile(boost::interprocess::shared_memory_object object) : object_(std::move(object)), known_(fd()) {}
  boost::interprocess::shared_memory_object object_;
  KnownFile known_;
};

}  // namespace shmlane::os
