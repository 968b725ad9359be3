// SPDX-License-Identifier: Apache-2.0
// Bytes that are aligned as a ring's are, exactly as many as asked for, so that a sanitizer sees each byte beyond them.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>

#include "shmlane/wire.hpp"

class AlignedBytes {
 public:
  explicit AlignedBytes(std::size_t size)
      : size_(size),
        bytes_(static_cast<std::byte*>(::operator new[](size, std::align_val_t{shmlane::wire::kAlignment}))) {
    std::memset(bytes_.get(), 0, size);
  }
  explicit AlignedBytes(std::string_view bytes) : AlignedBytes(bytes.size()) {
    std::memcpy(bytes_.get(), bytes.data(), bytes.size());
  }
  [[nodiscard]] std::byte* data() const noexcept { return bytes_.get(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  struct Free {
    void operator()(std::byte* bytes) const noexcept {
      ::operator delete[](bytes, std::align_val_t{shmlane::wire::kAlignment});
    }
  };
  std::size_t size_;
  std::unique_ptr<std::byte[], Free> bytes_;
};
