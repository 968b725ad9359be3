// SPDX-License-Identifier: Apache-2.0
// Streams and tensors by their names.
#include "array_names.hpp"

#include <optional>

#include "attachment.hpp"
#include "creation_lock.hpp"
#include "segment.hpp"
#include "shmlane/error.hpp"

namespace shmlane {

std::vector<std::string> names_of_kind(wire::Kind kind) {
  std::vector<std::string> names;
  for (std::string& name : os::ShmFile::list(std::string(kSegmentPrefix))) {
    try {
      std::optional<os::ShmFile> file = os::ShmFile::open(segment_file_name(name), false);
      if (!file || file->size() == 0) continue;
      const Segment segment(name, std::move(*file), false);
      if (segment.state() != wire::SegmentState::kReady) continue;
      segment.check(kind);
      names.push_back(std::move(name));
    } catch (const Error&) {
      continue;
    }
  }
  return names;
}

bool remove_of_kind(std::string_view name, wire::Kind kind) {
  const std::string file_name = segment_file_name(name);
  for (;;) {
    std::optional<os::ShmFile> file = os::ShmFile::open(file_name);
    if (!file) return false;
    const int fd = file->fd();
    std::optional<Segment> segment;  // after the lock's end: it keeps the descriptor open
    const CreationLock lock(fd, std::string(name));
    if (!file->has_name(file_name)) continue;
    require_removable(*file, std::string(name));
    if (file->size() == 0) {
      os::ShmFile::remove(file_name);
      return false;
    }
    segment.emplace(std::string(name), std::move(*file));
    segment->check(kind);
    retire(*segment);
    return true;
  }
}

}  // namespace shmlane
