// SPDX-License-Identifier: Apache-2.0
// Plain shared memory for the limits: populated, without any protection.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <stdexcept>
#include <string>

namespace bench {

inline std::byte* map_shared(const std::string& name, std::size_t size) {
  const int fd = ::shm_open(("/" + name).c_str(), O_RDWR | O_CREAT, 0600);
  if (fd < 0 || ::posix_fallocate(fd, 0, static_cast<off_t>(size)) != 0) throw std::runtime_error("no shared memory");
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  ::close(fd);
  if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
  return static_cast<std::byte*>(memory);
}

inline void unlink_shared(const std::string& name) noexcept { ::shm_unlink(("/" + name).c_str()); }

inline void relax() noexcept { __builtin_ia32_pause(); }

}  // namespace bench
