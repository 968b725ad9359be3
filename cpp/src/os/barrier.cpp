// SPDX-License-Identifier: Apache-2.0
// membarrier(2), which glibc does not wrap.
#include "os/barrier.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace shmlane::os {

bool register_barrier() noexcept {
#if defined(SHMLANE_TSAN)
  return false;  // the thread sanitizer cannot see a membarrier: this build fences everywhere
#else
  return ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
#endif
}

bool impose_barrier() noexcept {
  full_fence();
  return ::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0;
}

}  // namespace shmlane::os
