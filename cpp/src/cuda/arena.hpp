// SPDX-License-Identifier: Apache-2.0
// The memory of one device that one exporter lends out: pieces of allocations, each the caller's or a sent frame's.
//
// There is no table of slots between processes. Who has a piece is private to the exporter, and a piece that was sent is
// free again when the ring says that its frame is finished: so a consumer's death, redelivery, a policy that drops and
// reaping need nothing here. Whoever reads a piece gives the frame back only after its GPU has read it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cuda/allocation.hpp"
#include "shmlane/hold.hpp"

namespace shmlane::cuda {

// Thread-safe.
class Arena {
 public:
  struct Piece {
    std::shared_ptr<Allocation> allocation;
    std::size_t slot = 0;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };

  // `capacity` bytes at most, or as many as the largest piece needs, twice.
  Arena(os::cuda::Device& device, std::string queue, std::uint64_t capacity);
  // Of an arena that is still in use, the allocations are never used again.
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  [[nodiscard]] os::cuda::Device& device() const noexcept { return *device_; }
  // Nothing if there is no room now. Throws TooLarge, NoSpace, DeviceFailed.
  [[nodiscard]] std::optional<Piece> take(std::uint64_t bytes);
  void give_back(const Piece& piece);
  // It is that frame's from now on.
  void send(const Piece& piece, SentFrame frame);
  // Whether no piece is taken or sent.
  [[nodiscard]] bool idle();
  // Lets go of what was sent, consumed or not: at the end of the process.
  void forget() noexcept;

 private:
  struct Taken {
    Piece piece;
    std::optional<SentFrame> frame{};  // none: the caller's, or finished
    bool sent = false;
  };
  void sweep();
  [[nodiscard]] std::optional<Piece> find_room(const std::shared_ptr<Allocation>& allocation, std::uint64_t bytes);

  os::cuda::Device* device_;
  std::string queue_;
  std::uint64_t capacity_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Allocation>> allocations_;
  std::vector<Taken> taken_;
};

// Keeps an arena until nothing of it is in use, or the process ends.
void retire(std::shared_ptr<Arena> arena);
// Looks after those that were retired.
void look_after_retired();
// Lets go of what they sent, consumed or not: at the end of the process.
void forget_retired() noexcept;

}  // namespace shmlane::cuda
