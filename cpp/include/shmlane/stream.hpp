// SPDX-License-Identifier: Apache-2.0
// Stream: the latest value of one array, written by any number of processes, one at a time, and read by any number.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shmlane/dtype.hpp"
#include "shmlane/error.hpp"
#include "shmlane/export.hpp"
#include "shmlane/ndarray.hpp"
#include "shmlane/options.hpp"

namespace shmlane {

class StreamCore;
class StreamLocks;

struct StreamOptions {
  unsigned mode = 0600;      // permissions of what is created
  unsigned slots = 0;        // values that the segment has room for, 3 to 255; 0: as many as suit the size
  bool auto_unlink = false;  // the stream goes with the handle that created it
  // How long a wait spins before it sleeps; nothing: a moment, if there are as many cores as participants.
  std::optional<std::chrono::nanoseconds> spin{};
  InterruptCheck interrupt_check = nullptr;
};

struct StreamStat {
  std::uint64_t count = 0;           // values written so far
  std::uint64_t write_sequence = 0;  // twice that; one more while a value is being written, or its writer died
  std::uint64_t write_time_ns = 0;   // of the last value, since the UNIX epoch; 0 before the first one
  std::uint32_t writer_pid = 0;      // who wrote last; 0 if it has left
  bool writer_alive = false;
  std::uint64_t age_ns = 0;  // since the last value
};

// A place for the next value, in shared memory. Nothing changes for readers before commit(); at the end of its life, or
// by abort(), the old value stays. It holds the stream's write lock. To be used by the thread that made it.
class SHMLANE_EXPORT WriteView {
 public:
  WriteView(WriteView&& other) noexcept = default;
  WriteView& operator=(WriteView&& other) noexcept;
  ~WriteView() { abort(); }
  // 64-byte aligned; its contents mean nothing unless `keep` was asked for. Throws Closed after commit or abort.
  [[nodiscard]] std::span<std::byte> bytes() const;
  template <ArrayItem T>
  [[nodiscard]] std::span<T> as() const {
    check(std::uint64_t{sizeof(T)}, DType::of<T>());
    return {reinterpret_cast<T*>(bytes().data()), bytes().size() / sizeof(T)};
  }
  // Makes it the stream's value; returns its count. Throws Closed, Removed, Evicted.
  std::uint64_t commit();
  void abort() noexcept;

 private:
  friend class Stream;
  WriteView(std::shared_ptr<StreamCore> core, std::span<std::byte> slot, std::uint64_t participant)
      : core_(std::move(core)), slot_(slot), participant_(participant) {}
  void check(std::uint64_t itemsize, const DType& dtype) const;
  std::shared_ptr<StreamCore> core_;
  std::span<std::byte> slot_;
  std::uint64_t participant_ = 0;
};

// A handle. All methods may be called by several threads at once. A read takes no lock, stores nothing that others see and
// makes no system call; it may skip values, and never sees a torn one. After close() every use throws Closed; after the
// stream was unlinked, by whomever, Removed.
class SHMLANE_EXPORT Stream {
 public:
  // Throws Exists, InvalidName, InvalidArgument, UnsupportedType, NoSpace, and as open().
  static Stream create(std::string_view name, const DType& dtype, const Dims& shape, const StreamOptions& options = {});
  // Throws NotFound, WrongKind, PermissionDenied, Foreign, Corrupt, WrongVersion, WrongLayout, TooManyParticipants.
  static Stream open(std::string_view name, const StreamOptions& options = {});
  Stream(Stream&&) noexcept = default;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();

  [[nodiscard]] const std::string& name() const noexcept;
  [[nodiscard]] const DType& dtype() const;
  [[nodiscard]] const Dims& shape() const;
  [[nodiscard]] std::uint64_t nbytes() const;
  [[nodiscard]] unsigned slots() const;
  // Whether this handle created the stream.
  [[nodiscard]] bool owner() const noexcept;
  [[nodiscard]] std::uint64_t count() const;
  [[nodiscard]] StreamStat stat() const;
  // This handle's id among the participants, and whether the participant of that id still lives.
  [[nodiscard]] std::uint64_t participant() const;
  [[nodiscard]] bool is_alive(std::uint64_t participant) const;
  // Values that this handle's reads have skipped; approximate if threads share the handle.
  [[nodiscard]] std::uint64_t missed() const noexcept;
  // The count of the value that this handle read last; at first that of the value that was there when it was opened.
  [[nodiscard]] std::uint64_t last_read() const noexcept;
  // One line a field, for people.
  [[nodiscard]] std::string describe() const;

  // A consistent copy of the newest value; returns its count. Throws InvalidArgument unless `out` has its size.
  std::uint64_t read(std::span<std::byte> out) const;
  template <std::ranges::contiguous_range R>
    requires ArrayItem<std::ranges::range_value_t<R>> std::uint64_t read(R&& out)
  const {
    require_items<std::ranges::range_value_t<R>>();
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span(out));
    return read(bytes);
  }
  // A value written after the call, or after the one with that count; nothing on time-out or cancel_wait().
  std::optional<std::uint64_t> read_new(std::span<std::byte> out, Timeout timeout = forever);
  std::optional<std::uint64_t> read_after(std::uint64_t count, std::span<std::byte> out, Timeout timeout = forever);
  // The same without reading.
  bool wait_after(std::uint64_t count, Timeout timeout = forever);
  // Makes every wait of this handle in another thread end as if its time were over.
  void cancel_wait();

  // Replaces the value; waits for the write lock. Returns the new count, nothing on time-out. Strides are gathered.
  // Throws InvalidArgument for another shape or dtype, Removed, Closed, Evicted.
  std::optional<std::uint64_t> write(std::span<const std::byte> value, Timeout timeout = forever);
  std::optional<std::uint64_t> write(const NdView& value, Timeout timeout = forever);
  template <std::ranges::contiguous_range R>
    requires ArrayItem<std::ranges::range_value_t<R>> std::optional<std::uint64_t> write(const R& value,
                                                                                         Timeout timeout = forever) {
      require_items<std::ranges::range_value_t<R>>();
      const std::span<const std::byte> bytes = std::as_bytes(std::span(value));
      return write(bytes, timeout);
    }
  std::optional<WriteView> write_view(bool keep = false, Timeout timeout = forever);
  // Zeros; counts as a write.
  std::optional<std::uint64_t> clear(Timeout timeout = forever);

  // The write lock, one for all processes; the thread that holds it may take it again and write. The death of its holder
  // frees it. False on time-out.
  bool acquire(Timeout timeout = forever);
  // Throws Unlocked unless this thread holds it.
  void release();
  [[nodiscard]] bool locked_here() const noexcept;
  // The newest value where it lies, for as long as this thread holds the lock. Throws Unlocked.
  [[nodiscard]] NdView live() const;
  // Throws Unlocked unless this thread holds the lock.
  std::uint64_t write_locked(const NdView& value);

  [[nodiscard]] bool closed() const noexcept;
  // Ends the handle; who waits on it gets Closed. A lock held by a view or a thread stays until it is given back.
  void close();
  // Removes the stream's name; every handle of it then throws Removed.
  void unlink();
  // Keeps the memory of bytes() and live() mapped.
  [[nodiscard]] std::shared_ptr<const void> memory() const noexcept { return core_; }

 private:
  explicit Stream(std::shared_ptr<StreamCore> core) : core_(std::move(core)) {}
  [[nodiscard]] StreamCore& core() const;
  template <ArrayItem T>
  void require_items() const {
    if (!dtype().is<T>()) throw_other_items(DType::of<T>());
  }
  [[noreturn]] void throw_other_items(const DType& given) const;
  friend SHMLANE_EXPORT std::vector<std::size_t> wait_any(std::span<Stream* const> streams, Timeout timeout);
  friend SHMLANE_EXPORT std::optional<StreamLocks> locked_many(std::span<Stream* const> streams, Timeout timeout);
  std::shared_ptr<StreamCore> core_;
};

// Locks of several streams, taken in an order that is the same for everybody, so that no two of those who do so wait for
// each other for ever. Given back at the end of its life, by the thread that made it.
class SHMLANE_EXPORT StreamLocks {
 public:
  StreamLocks(StreamLocks&&) noexcept = default;
  StreamLocks& operator=(StreamLocks&&) = delete;
  ~StreamLocks();

 private:
  friend SHMLANE_EXPORT std::optional<StreamLocks> locked_many(std::span<Stream* const> streams, Timeout timeout);
  StreamLocks() = default;
  std::vector<Stream*> held_;
};
SHMLANE_EXPORT std::optional<StreamLocks> locked_many(std::span<Stream* const> streams, Timeout timeout = forever);

// Waits until at least one of up to 128 streams has a value that its handle has not read; returns the places of all that
// have, none on time-out. Costs a thread for each while it waits, on Linux before 5.16.
SHMLANE_EXPORT std::vector<std::size_t> wait_any(std::span<Stream* const> streams, Timeout timeout = forever);

// Removes a stream; false if there is none. Throws WrongKind for anything else of that name, PermissionDenied.
SHMLANE_EXPORT bool unlink_stream(std::string_view name);
// Names of all streams that may be read, sorted.
SHMLANE_EXPORT std::vector<std::string> list_streams();

}  // namespace shmlane
