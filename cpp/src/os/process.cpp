// SPDX-License-Identifier: Apache-2.0
// Facts about this process and machine, asked from the kernel.
#include "os/process.hpp"

#include <sched.h>
#include <sys/random.h>
#include <unistd.h>

#include <fstream>

#include "shmlane/error.hpp"

namespace shmlane::os {

std::uint32_t process_id() noexcept { return static_cast<std::uint32_t>(::getpid()); }

std::string process_name() {
  std::ifstream file("/proc/self/comm");
  std::string name;
  std::getline(file, name);
  return name;
}

std::uint64_t random_u64() {
  std::uint64_t value = 0;
  if (::getrandom(&value, sizeof value, 0) != sizeof value) throw SystemError("getrandom failed");
  return value;
}

unsigned online_cores() noexcept {
  const long count = ::sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? static_cast<unsigned>(count) : 1;
}

void yield_core() noexcept { ::sched_yield(); }

}  // namespace shmlane::os
