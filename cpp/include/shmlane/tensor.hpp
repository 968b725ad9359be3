// SPDX-License-Identifier: Apache-2.0
// Tensor: a named array in shared memory and nothing else, created once and attached any number of times without a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
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

class TensorCore;

struct TensorOptions {
  unsigned mode = 0600;      // permissions of what is created
  bool writable = true;      // false: the memory is mapped read-only
  bool auto_unlink = false;  // the tensor goes with the handle that created it
  InterruptCheck interrupt_check = nullptr;
};

// A handle. The memory is there as long as this object or memory() lives, also after close() and unlink(). Nothing orders
// what several write into it, but for the locks below, which are there for who wants them. All methods may be called by
// several threads at once.
class SHMLANE_EXPORT Tensor {
 public:
  // All zeros. Throws Exists, InvalidName, InvalidArgument, UnsupportedType, NoSpace, and as attach().
  static Tensor create(std::string_view name, const DType& dtype, const Dims& shape, const TensorOptions& options = {});
  // A copy of `data`, whose strides are gathered. Who attaches finds all of it, or no tensor.
  static Tensor create(std::string_view name, const NdView& data, const TensorOptions& options = {});
  // Touches nothing of the array, whatever its size. Throws NotFound, WrongKind, PermissionDenied, Foreign, Corrupt,
  // WrongVersion, WrongLayout, TooManyParticipants.
  static Tensor attach(std::string_view name, const TensorOptions& options = {});
  // The same, and WrongType if it is another array.
  static Tensor attach(std::string_view name, const DType& dtype, const Dims& shape, const TensorOptions& options = {});
  Tensor(Tensor&&) noexcept = default;
  Tensor& operator=(Tensor&&) noexcept;
  ~Tensor();

  [[nodiscard]] const std::string& name() const noexcept;
  [[nodiscard]] const DType& dtype() const;
  [[nodiscard]] const Dims& shape() const;
  [[nodiscard]] std::uint64_t nbytes() const;
  [[nodiscard]] bool owner() const noexcept;  // whether this handle created it
  [[nodiscard]] bool writable() const noexcept;

  // The array in place, 64-byte aligned; as<T>() throws WrongType unless T is its dtype. Do not write where it is not
  // writable().
  [[nodiscard]] NdView view() const;
  [[nodiscard]] std::span<std::byte> bytes() const;
  template <ArrayItem T>
  [[nodiscard]] std::span<T> as() const {
    const std::span<const T> items = view().as<T>();
    return {const_cast<T*>(items.data()), items.size()};
  }
  // Keeps the memory mapped.
  [[nodiscard]] std::shared_ptr<const void> memory() const noexcept { return core_; }

  // A readers-writer lock between all processes. The death of who holds it gives it back. The writer may take it again;
  // a reader that waits for itself waits for ever. False on time-out. Throws Closed, Removed, Evicted.
  bool lock(Timeout timeout = forever);
  bool lock_shared(Timeout timeout = forever);
  // Throw Unlocked where nothing is held: by this thread of the write lock, by this handle of the read lock.
  void unlock();
  void unlock_shared();

  [[nodiscard]] bool closed() const noexcept;
  // Ends the handle, not its memory.
  void close();
  // Removes the tensor's name.
  void unlink();

 private:
  explicit Tensor(std::shared_ptr<TensorCore> core) : core_(std::move(core)) {}
  [[nodiscard]] TensorCore& core() const;
  std::shared_ptr<TensorCore> core_;
};

// Removes a tensor; false if there is none. Throws WrongKind for anything else of that name, PermissionDenied.
SHMLANE_EXPORT bool unlink_tensor(std::string_view name);
// Names of all tensors that may be read, sorted.
SHMLANE_EXPORT std::vector<std::string> list_tensors();

}  // namespace shmlane
