// SPDX-License-Identifier: Apache-2.0
// A payload that lies in several buffers of Python, held while C++ reads them.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace shmlane::bindings {

// Contiguous buffers, in order. Made and destroyed under the interpreter's lock; write() needs it not.
class Parts {
 public:
  // Throws TypeError or BufferError, as exceptions of Python, for what is no sequence of contiguous buffers.
  explicit Parts(const pybind11::handle& sequence);
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;
  ~Parts();

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] std::span<const Py_buffer> views() const noexcept { return views_; }
  // Fills `out`, of size() bytes, with one part after the other.
  void write(std::span<std::byte> out) const noexcept;

 private:
  void release() noexcept;

  std::vector<Py_buffer> views_;
  std::uint64_t size_ = 0;
};

// One contiguous buffer, as bytes to read.
class Part {
 public:
  explicit Part(const pybind11::handle& buffer);
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  ~Part() { PyBuffer_Release(&view_); }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return {static_cast<const std::byte*>(view_.buf), static_cast<std::size_t>(view_.len)};
  }

 private:
  Py_buffer view_{};
};

}  // namespace shmlane::bindings
