// SPDX-License-Identifier: Apache-2.0
// The one table of error codes, and one exception type per code. Python mirrors it name by name (shmlane/errors.py).
#pragma once

#include <stdexcept>
#include <string>

#include "shmlane/export.hpp"

namespace shmlane {

// X(Name, meaning). Codes are numbered in this order from 1; the list only ever grows at its end.
#define SHMLANE_ERRORS(X)                                                                  \
  X(InvalidArgument, "an argument is out of its range")                                    \
  X(InvalidName, "a name is not 1 to 200 bytes of UTF-8 without '/' and NUL")              \
  X(NotFound, "no segment of that name")                                                   \
  X(PermissionDenied, "the system refuses access to the segment")                          \
  X(NoSpace, "shared memory is full")                                                      \
  X(SystemError, "a system call failed for a reason of its own")                           \
  X(Foreign, "the file is not a segment of shmlane")                                       \
  X(WrongVersion, "the segment was made by another version of the wire format")            \
  X(WrongLayout, "the segment was made by a build with another layout")                    \
  X(WrongKind, "the segment is of another kind, for instance a stream instead of a queue") \
  X(CapacityMismatch, "the segment has another capacity than the one asked for")           \
  X(TooManyParticipants, "the segment's table of participants is full")                    \
  X(TimedOut, "the time given ran out")                                                    \
  X(Full, "no room in the ring within the time given")                                     \
  X(Empty, "nothing to take within the time given")                                        \
  X(NoConsumers, "no consumer came within the time given")                                 \
  X(TooLarge, "an object is larger than a ring or a limit can ever hold")                  \
  X(Closed, "a handle, lease or reservation was used after its end")                       \
  X(Evicted, "the others took this participant for dead and reclaimed what it held")       \
  X(Corrupt, "bytes that another process wrote break the wire format")                     \
  X(Truncated, "a stream of frames ended in the middle of a frame")                        \
  X(BrokenPipe, "the reader of a pipe is gone")                                            \
  X(UnsupportedType, "an object, dtype or image mode that no codec takes")                 \
  X(WrongType, "the object that arrived is of another type than the one asked for")        \
  X(Interrupted, "a wait was interrupted on request")                                      \
  X(Exists, "a segment of that name exists already")                                       \
  X(Removed, "the segment was removed while a handle of it was open")                      \
  X(Unlocked, "a lock is needed or given back that the caller does not hold")              \
  X(NoDevice, "no GPU, or not the one that is asked for, can be used by this process")     \
  X(DeviceFailed, "the GPU or its driver refused or failed")                               \
  X(ExporterGone, "the process that owned memory of a GPU is gone, and the memory with it")

enum class ErrorCode : int {
  kOk = 0,
#define SHMLANE_X(name, meaning) k##name,
  SHMLANE_ERRORS(SHMLANE_X)
#undef SHMLANE_X
};

// The code's name as both languages spell it, for instance "NotFound".
SHMLANE_EXPORT const char* error_name(ErrorCode code) noexcept;

// Base of everything that shmlane throws. A message says what was wrong, in which segment, and what to do.
class SHMLANE_EXPORT Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ~Error() override;
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

#define SHMLANE_X(name, meaning)                                                      \
  /* Thrown when: meaning. */                                                         \
  class SHMLANE_EXPORT name : public Error {                                          \
   public:                                                                            \
    explicit name(const std::string& message) : Error(ErrorCode::k##name, message) {} \
    ~name() override;                                                                 \
  };
SHMLANE_ERRORS(SHMLANE_X)
#undef SHMLANE_X

}  // namespace shmlane
