// SPDX-License-Identifier: Apache-2.0
// Tensors: thin owners of a TensorCore.
#include "shmlane/tensor.hpp"

#include <utility>

#include "array_names.hpp"
#include "tensor_core.hpp"

namespace shmlane {

Tensor Tensor::create(std::string_view name, const DType& dtype, const Dims& shape, const TensorOptions& options) {
  return Tensor(std::make_shared<TensorCore>(name, describe_array(dtype, shape, 1), options));
}

Tensor Tensor::create(std::string_view name, const NdView& data, const TensorOptions& options) {
  const ArrayFacts array = describe_array(data.dtype, data.shape, 1);
  const auto fill = [&](std::byte* memory) { Codec<NdView>::write(data, {memory, array.nbytes}); };
  return Tensor(std::make_shared<TensorCore>(name, array, options, fill));
}

Tensor Tensor::attach(std::string_view name, const TensorOptions& options) {
  return Tensor(std::make_shared<TensorCore>(name, std::nullopt, options));
}

Tensor Tensor::attach(std::string_view name, const DType& dtype, const Dims& shape, const TensorOptions& options) {
  Tensor tensor = attach(name, options);
  const ArrayFacts& found = tensor.core_->array();
  if (found.dtype != dtype || found.shape != shape) {
    throw WrongType("tensor '" + std::string(name) + "' is " + found.text() + ", not " + dtype.text() + " " +
                    shape_text(shape));
  }
  return tensor;
}

Tensor& Tensor::operator=(Tensor&& other) noexcept {
  if (core_ != nullptr && core_ != other.core_) core_->close();
  core_ = std::move(other.core_);
  return *this;
}

Tensor::~Tensor() {
  if (core_ != nullptr) core_->close();
}

TensorCore& Tensor::core() const {
  if (core_ == nullptr) throw Closed("this handle was moved from; use the one it was moved to");
  return *core_;
}

const std::string& Tensor::name() const noexcept {
  static const std::string nothing;
  return core_ != nullptr ? core_->name() : nothing;
}

const DType& Tensor::dtype() const { return core().array().dtype; }
const Dims& Tensor::shape() const { return core().array().shape; }
std::uint64_t Tensor::nbytes() const { return core().array().nbytes; }
bool Tensor::owner() const noexcept { return core_ != nullptr && core_->created(); }
bool Tensor::writable() const noexcept { return core_ != nullptr && core_->writable(); }

NdView Tensor::view() const { return NdView::contiguous(core().array().dtype, core_->array().shape, core_->memory()); }

std::span<std::byte> Tensor::bytes() const { return {core().memory(), core_->array().nbytes}; }

bool Tensor::lock(Timeout timeout) { return core().lock_all(os::Deadline(timeout)); }

bool Tensor::lock_shared(Timeout timeout) { return core().lock_shared(os::Deadline(timeout)); }

void Tensor::unlock() {
  if (!core().locked_here()) core_->throw_unlocked();
  core_->unlock_all();
}

void Tensor::unlock_shared() { core().unlock_shared(); }

bool Tensor::closed() const noexcept { return core_ == nullptr || core_->closed(); }

void Tensor::close() {
  if (core_ != nullptr) core_->close();
}

void Tensor::unlink() { core().unlink(); }

bool unlink_tensor(std::string_view name) { return remove_of_kind(name, wire::Kind::kTensor); }

std::vector<std::string> list_tensors() { return names_of_kind(wire::Kind::kTensor); }

}  // namespace shmlane
