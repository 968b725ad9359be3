// SPDX-License-Identifier: Apache-2.0
// The interpreter's lock: let go in waits and long copies, taken back for signals.
#pragma once

#include <cxxabi.h>
#include <pybind11/pybind11.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace shmlane::bindings {

namespace py = pybind11;

// Copies larger than this let other threads run meanwhile. Letting the lock go and taking it again costs a tenth of a
// microsecond where nobody wants it, and up to the interpreter's switch interval, 5 ms, where somebody does.
inline constexpr std::size_t kCopyUnderGil = 256 * 1024;

inline bool finalizing() noexcept {
#if PY_VERSION_HEX >= 0x030d0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

// A daemon thread that asks for the lock of a dying interpreter would be unwound in the middle of C++ (and the process
// aborted) before Python 3.14; it sleeps until the process ends, as it does since 3.14.
[[noreturn]] inline void sleep_until_exit() noexcept {
  for (;;) pause();
}

// Calls `take_lock`, in which the interpreter may begin to die, also between a look at finalizing() and the call: then
// pthread_exit unwinds this thread, and what is caught here must not be left again.
template <class TakeLock>
auto take_gil(TakeLock&& take_lock) noexcept {
  if (finalizing()) sleep_until_exit();
  try {
    return take_lock();
  } catch (const abi::__forced_unwind&) {
    sleep_until_exit();
  }
}

// Holds the lock away while it lives, if `release`. The caller holds it before and after.
class GilReleased {
 public:
  explicit GilReleased(bool release = true) : state_(release ? PyEval_SaveThread() : nullptr) {}
  GilReleased(const GilReleased&) = delete;
  GilReleased& operator=(const GilReleased&) = delete;
  ~GilReleased() {
    if (state_ != nullptr) take_gil([this] { PyEval_RestoreThread(state_); });
  }

 private:
  PyThreadState* state_;
};

// Runs the handlers of signals that came; what a handler raises (KeyboardInterrupt) ends the wait. An InterruptCheck.
inline void interrupt_check() {
  struct Gil {
    PyGILState_STATE state = take_gil(&PyGILState_Ensure);
    ~Gil() { PyGILState_Release(state); }
  } const gil;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

// memcpy that lets other threads run during a long copy. The caller holds the lock and owns both ends.
inline void copy_bytes(void* out, const void* in, std::size_t size) {
  if (size == 0) return;
  const GilReleased released(size > kCopyUnderGil);
  std::memcpy(out, in, size);
}

}  // namespace shmlane::bindings
