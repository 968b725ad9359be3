// SPDX-License-Identifier: Apache-2.0
// One participant in one segment: attaching, laying out, leaving, and starting anew in a forked child (SPEC section 7).
//
// Attaching is a list of steps, all under the creation lock of the file itself (one byte, owned by an open file
// description, so the kernel lets it go when its holder dies):
//   1. Open or create the file; take its creation lock; look whether the name still leads to it, else start again.
//   2. A half-made segment (its maker died) is made anew; a removed one, or a stale one that is not to be kept, loses its
//      name, and we start again.
//   3. Check magic, version, layout, kind, capacity; lay out the body if this participant knows a capacity.
//   4. Claim an entry in the table of participants: first its byte, at last its word.
// So every change of what a name leads to happens under that lock, and there are never two live segments of one name.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "os/fork.hpp"
#include "participants.hpp"
#include "segment.hpp"
#include "shmlane/options.hpp"
#include "waiting.hpp"

namespace shmlane {

struct AttachOptions {
  wire::Kind kind{};
  std::uint8_t role = 0;
  std::optional<std::uint64_t> body_size;  // asked for; nothing: take what is there
  std::uint64_t default_body_size = 0;     // laid out if nobody has asked; 0: leave that to others
  Stale stale = Stale::kAuto;
  unsigned mode = 0600;
  bool create = true;      // false: throws NotFound if there is no segment yet
  bool exclusive = false;  // throws Exists if there is one whose body is laid out
  bool unlink = true;
  bool write_body = true;
  bool owned = false;  // removed when this participant leaves, whoever else lives in it
  ParticipantPolicy policy;
  // How many objects wait in a segment whose body is mapped and in which nobody lives.
  std::function<std::uint64_t(Segment&)> count_objects;
  // Called before a new body is published, and of a body that was there: writes, or checks, what belongs to its kind.
  std::function<void(Segment&)> describe_body{};
  std::function<void(Segment&)> check_body{};
  // Called in a forked child with its own new id, before any thread there sees that.
  std::function<void(ParticipantId)> renewed;
};

class Attachment final : private os::ForkAware {
 public:
  // Throws what Producer's constructor says.
  Attachment(std::string_view name, AttachOptions options);
  ~Attachment();

  [[nodiscard]] const std::string& name() const noexcept { return segment_->name(); }
  [[nodiscard]] Segment& segment() noexcept { return *segment_; }
  [[nodiscard]] const Participants& participants() const noexcept { return participants_; }
  // Of a queue only.
  [[nodiscard]] WaitPlace& items() noexcept { return *items_; }
  [[nodiscard]] WaitPlace& space() noexcept { return *space_; }
  // For what is made once and late; a fork never copies it locked.
  [[nodiscard]] std::mutex& mutex() noexcept { return fork_safe_; }

  // This participant's id; a new one in a forked child, where what was held stays the parent's.
  [[nodiscard]] ParticipantId me() {
    if (os::fork_count() != forks_seen_.load(std::memory_order_acquire)) [[unlikely]]
      renew();
    return me_;
  }
  // The same where nobody can have forked since it was asked for.
  [[nodiscard]] ParticipantId still_me() const noexcept { return me_; }
  // True in a forked child that has not used the handle yet: everything still belongs to the parent.
  [[nodiscard]] bool inherited() const noexcept {
    return os::fork_count() != forks_seen_.load(std::memory_order_acquire);
  }

  // Gives up the role, keeps the entry: whoever waits for the last producer or consumer sees that at once.
  void drop_role() noexcept;
  // Calls settle(), which gives back what this participant holds and says whether nothing is left for others, then frees
  // the entry. If nothing is left, the last living participant removes the segment (unless unlink is off); else it stays
  // for who comes later. Never throws: if settle() does, that is logged, and this participant left to be reaped (W-45).
  void leave(const std::function<bool()>& settle) noexcept;
  void wake_everybody() noexcept;

 private:
  void in_forked_child() noexcept override;
  void renew();
  [[nodiscard]] bool try_attach(const std::string& file_name, const std::string& name);
  [[nodiscard]] os::ShmFile open_file(const std::string& file_name, const std::string& name) const;
  void make(os::ShmFile& file, const std::string& name) const;
  [[nodiscard]] bool worth_keeping(bool just_made);
  void lay_out(bool just_made);
  void join();
  void open_wait_places();

  AttachOptions options_;
  std::unique_ptr<Segment> segment_;
  Participants participants_;
  std::optional<WaitPlace> items_;
  std::optional<WaitPlace> space_;
  ParticipantId me_ = 0;
  std::atomic<std::uint32_t> forks_seen_;
  std::atomic<bool> left_{false};
};

// Marks a segment as removed, then takes away its semaphores and its name, and wakes who sleeps on its bells. Under the
// creation lock of the file.
void retire(Segment& segment) noexcept;
// Wakes everybody who sleeps in a stream or a tensor.
void ring_bells(Segment& segment) noexcept;
// Throws PermissionDenied if the name is not this user's to remove.
void require_removable(const os::ShmFile& file, const std::string& name);

}  // namespace shmlane
