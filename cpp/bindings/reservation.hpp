// SPDX-License-Identifier: Apache-2.0
// A reservation as Python holds it: its memory stays mapped for as long as a view of it may be used.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "shmlane/queue.hpp"

namespace shmlane::bindings {

// Not thread-safe beyond what the interpreter's lock gives.
class HeldReservation {
 public:
  HeldReservation(Reservation reservation, std::string metadata)
      : reservation_(std::move(reservation)),
        memory_(reservation_.memory()),
        metadata_(std::move(metadata)),
        size_(reservation_.payload().size()) {}

  [[nodiscard]] std::uint64_t nbytes() const noexcept { return size_; }
  [[nodiscard]] bool open() const noexcept { return reservation_.open(); }
  [[nodiscard]] std::span<std::byte> payload() const { return reservation_.payload(); }
  // Publishes the first `size` bytes, with other metadata if there is one.
  void commit(std::optional<std::string_view> metadata, std::uint64_t size) {
    reservation_.commit(metadata.value_or(metadata_), size);
  }
  void abort() noexcept { reservation_.abort(); }
  [[nodiscard]] const Reservation& reservation() const noexcept { return reservation_; }

 private:
  Reservation reservation_;
  std::shared_ptr<const void> memory_;
  std::string metadata_;
  std::uint64_t size_;
};

}  // namespace shmlane::bindings
