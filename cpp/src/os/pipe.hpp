// SPDX-License-Identifier: Apache-2.0
// Reading and writing descriptors whole: interrupted, partial and non-blocking calls, and no SIGPIPE.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>

namespace shmlane::os {

// Called when a signal interrupted a call, before it is tried again; may throw, which ends the call. May be null.
using OnInterrupt = void (*)();

// Writes all of `parts`, which it uses up, whether the descriptor blocks or not. Throws BrokenPipe if the reader is gone
// (the process gets no SIGPIPE for it) or SystemError; how much was written then, nobody knows.
void write_all(int fd, std::span<iovec> parts, OnInterrupt on_interrupt);

// Reads at least one byte into `parts`; returns how many, 0 at the end of the file. Throws SystemError.
std::size_t read_some(int fd, std::span<iovec> parts, OnInterrupt on_interrupt);

// Reads until `parts`, which it uses up, are full or the file ends; returns the bytes read. Throws SystemError.
std::size_t read_all(int fd, std::span<iovec> parts, OnInterrupt on_interrupt);

// Makes a pipe as large as the kernel lets this user; nothing happens to what is no pipe.
void enlarge_pipe(int fd) noexcept;

}  // namespace shmlane::os
