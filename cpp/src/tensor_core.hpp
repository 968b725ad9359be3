// SPDX-License-Identifier: Apache-2.0
// A tensor seen from one handle: its array, and a readers-writer lock that survives its holders (SPEC 11.4).
//
// A reader raises the count of read locks in its own entry of the table, then looks at the write lock's word; a writer takes
// that word, imposes a barrier on everybody, then waits until nobody alive has a count. So each reader writes to a line of
// its own, and of reader and writer at least one sees the other (the asymmetric Dekker algorithm, as in lock.hpp).
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>

#include "array_core.hpp"
#include "shmlane/tensor.hpp"

namespace shmlane {

// Thread-safe.
class TensorCore final : public ArrayCore {
 public:
  TensorCore(std::string_view name, const std::optional<ArrayFacts>& array, const TensorOptions& options,
             const Fill& fill = nullptr);
  ~TensorCore() { close(); }

  // False when the deadline passed.
  bool lock_all(const os::Deadline& deadline);
  void unlock_all() noexcept { unlock(participant()); }
  bool lock_shared(const os::Deadline& deadline);
  void unlock_shared();

  [[nodiscard]] bool writable() const noexcept { return writable_; }
  void close() noexcept { ArrayCore::close(false); }

 private:
  void in_forked_child() noexcept override { reading_ = 0; }
  [[nodiscard]] std::uint32_t& busy(ParticipantId id) const noexcept {
    return participants().entry(id_index(id)).consumers_busy;
  }
  [[nodiscard]] bool enter_busy(ParticipantId me) noexcept;
  void leave_busy(ParticipantId me) noexcept;
  [[nodiscard]] bool wait_to_read(ParticipantId me, const os::Deadline& deadline);
  [[nodiscard]] bool anybody_reads(ParticipantId me) const noexcept;
  [[nodiscard]] bool wait_for_readers(ParticipantId me, const os::Deadline& deadline);

  bool writable_;
  std::atomic<std::uint32_t> reading_{0};  // read locks held by this handle
};

}  // namespace shmlane
