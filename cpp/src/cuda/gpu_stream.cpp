// SPDX-License-Identifier: Apache-2.0
// Streams on a GPU: an ordinary stream of records that say in which slot of an allocation the newest value lies.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "crash_point.hpp"
#include "cuda_placement.hpp"
#include "shmlane/cuda_allocation.hpp"
#include "shmlane/cuda_stream.hpp"
#include "shmlane/error.hpp"

namespace shmlane::cuda {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kSlots = 3;
constexpr std::uint64_t kAlignment = 512;
constexpr std::size_t kRecordBytes = 4096;
constexpr int kTries = 16;  // of a copy that is outrun, before the lock is taken for one
constexpr std::chrono::seconds kMaking{1};
constexpr std::chrono::milliseconds kDying{100};
constexpr std::array<std::string_view, 8> kDtypes = {"<f2", "<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1"};
constexpr const char* kRecordName = "shmlane.gpu";

std::uint64_t slot_bytes(std::uint64_t nbytes) {
  return std::max(kAlignment, (nbytes + kAlignment - 1) / kAlignment * kAlignment);
}

DType record_dtype(const DType& dtype, const Dims& shape, bool mirror) {
  Json fields = Json::array({{kRecordName, "|V" + std::to_string(kRecordBytes)}});
  if (mirror) {
    Json value = {"value", dtype.to_json()};
    if (shape.size() != 0) value.push_back(std::vector<std::int64_t>(shape.begin(), shape.end()));
    fields.push_back(std::move(value));
  }
  return DType::parse(fields);
}

// Whether an ordinary stream's items are records.
bool is_record(const Json& dtype) {
  return dtype.is_array() && !dtype.empty() && dtype[0] == Json({kRecordName, "|V" + std::to_string(kRecordBytes)});
}

void pack(const CudaPlacement& placement, std::span<std::byte> out) {
  const std::string text = placement.metadata().dump();
  const auto payload = placement.payload();
  const auto size = static_cast<std::uint32_t>(text.size());
  if (payload.size() + sizeof size + size > kRecordBytes) {
    throw InvalidArgument("a shape of so many dimensions is not for a stream on a GPU");
  }
  std::memset(out.data(), 0, kRecordBytes);
  std::memcpy(out.data(), payload.data(), payload.size());
  std::memcpy(out.data() + payload.size(), &size, sizeof size);
  std::memcpy(out.data() + payload.size() + sizeof size, text.data(), size);
}

CudaPlacement unpack(std::span<const std::byte> record) {
  constexpr std::size_t kText = CudaPlacement::kPayloadSize + sizeof(std::uint32_t);
  std::uint32_t size = 0;
  std::memcpy(&size, record.data() + CudaPlacement::kPayloadSize, sizeof size);
  if (size > kRecordBytes - kText) throw Corrupt("a record of a stream on a GPU is longer than it can be");
  const auto metadata = parse_metadata({reinterpret_cast<const char*>(record.data() + kText), size});
  CudaPlacement placement = CudaPlacement::read(metadata->json, record.first(CudaPlacement::kPayloadSize));
  if (placement.slot >= kSlots) throw Corrupt("a stream on a GPU has three slots");
  return placement;
}

// What was acquired, for a scope.
class Lock {
 public:
  explicit Lock(shmlane::Stream& stream) : stream_(&stream) {}
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  ~Lock() {
    if (stream_->locked_here()) stream_->release();
  }

 private:
  shmlane::Stream* stream_;
};

}  // namespace

struct GpuStream::State {
  explicit State(shmlane::Stream of) : stream(std::move(of)), value(stream.nbytes()) {}

  void make(const DType& of, const Dims& lengths, int device);
  void find();
  CudaPlacement record();
  void open(const CudaPlacement& placement);
  DeviceView place(const CudaPlacement& placement);
  void settle() const;
  void check_creator(const CudaPlacement& placement) const;
  bool try_read(const DeviceView& out);
  std::optional<std::uint64_t> write(const std::function<void(const DeviceArray&, std::span<std::byte>)>& fill,
                                     const Timeout& timeout);
  [[nodiscard]] DeviceView in_allocation(std::uint64_t slot) const {
    return DeviceView::contiguous(dtype, shape, allocation->data() + slot * slot_bytes(nbytes), allocation->device());
  }

  std::optional<SharedAllocation> allocation;  // goes last: nobody must find the creator's before it has left
  std::uint64_t allocation_id = 0;
  shmlane::Stream stream;
  DType dtype;
  Dims shape;
  std::uint64_t nbytes = 0;
  bool mirror = false;
  std::mutex mutex;
  std::vector<std::byte> value;  // of the ordinary stream, as it was read last
};

void GpuStream::State::make(const DType& of, const Dims& lengths, int device) {
  dtype = of;
  shape = lengths;
  nbytes = DeviceView::contiguous(dtype, shape, 0, device).nbytes();
  allocation = SharedAllocation::create(device, kSlots * slot_bytes(nbytes), "stream " + stream.name());
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) borrow(in_allocation(slot), nullptr).fill(std::byte{0});
  const auto payload = allocation->payload();
  const CudaPlacement first = CudaPlacement::read(allocation->metadata(dtype, shape, 0, stream.participant()), payload);
  allocation_id = first.allocation;
  std::optional<WriteView> view = stream.write_view();
  std::memset(view->bytes().data(), 0, view->bytes().size());
  pack(first, view->bytes());
  view->commit();
}

void GpuStream::State::find() {
  if (stream.count() == 0 && !stream.wait_after(0, kMaking)) {
    throw Corrupt("stream '" + stream.name() + "': its creator died before it had memory; remove it with: shmlane rm");
  }
  const CudaPlacement newest = record();
  dtype = newest.dtype;
  shape = newest.shape;
  nbytes = DeviceView::contiguous(dtype, shape, 0, 0).nbytes();
  if (newest.bytes != nbytes || (mirror && value.size() != kRecordBytes + nbytes)) {
    throw Corrupt("stream '" + stream.name() + "' is not as long as its record says");
  }
}

// Under the mutex, or before others have the handle.
CudaPlacement GpuStream::State::record() {
  stream.read(std::span(value));
  return unpack(value);
}

void GpuStream::State::check_creator(const CudaPlacement& placement) const {
  if (stream.is_alive(placement.exporter)) return;
  throw ExporterGone("stream '" + stream.name() + "': the handle that created it, in process " +
                     std::to_string(placement.pid) +
                     ", is gone, and its GPU memory with it; create it anew, or with "
                     "a mirror in the host's memory");
}

// Opens the memory, if it is not open yet.
void GpuStream::State::open(const CudaPlacement& placement) {
  if (allocation && allocation_id == placement.allocation) return;
  check_creator(placement);
  try {
    allocation = SharedAllocation::open(placement.metadata(), placement.payload(), [&] { check_creator(placement); });
    allocation_id = placement.allocation;
  } catch (const DeviceFailed&) {
    // Of a process that dies, the driver's handles may go before the others can see it.
    for (const auto end = Clock::now() + kDying; Clock::now() < end;) {
      check_creator(placement);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    throw;
  }
  if (allocation->nbytes() < kSlots * slot_bytes(nbytes)) {
    allocation.reset();
    throw Corrupt("a stream on a GPU is larger than its memory");
  }
}

DeviceView GpuStream::State::place(const CudaPlacement& placement) {
  open(placement);
  return in_allocation(placement.slot);
}

// W-151: whether what was copied is one value.
bool GpuStream::State::try_read(const DeviceView& out) {
  const CudaPlacement newest = record();
  copy(place(newest), out);
  check_creator(newest);
  return stream.count() - 1 - newest.generation < kSlots - 1;
}

// W-150: what a writer gave to its GPU before it died may still be done for a moment. Under the lock.
void GpuStream::State::settle() const {
  if (stream.stat().write_sequence % 2 != 0) std::this_thread::sleep_for(kDying);
}

std::optional<std::uint64_t> GpuStream::State::write(
    const std::function<void(const DeviceArray&, std::span<std::byte>)>& fill, const Timeout& timeout) {
  if (!stream.acquire(timeout)) return std::nullopt;
  const Lock lock(stream);
  settle();
  std::optional<WriteView> view = stream.write_view();
  const std::lock_guard guard(mutex);
  CudaPlacement next = record();
  check_creator(next);
  next.generation += 1;
  next.slot = next.generation % kSlots;
  next.offset = next.slot * slot_bytes(nbytes);
  const std::span<std::byte> whole = view->bytes();
  SHMLANE_CRASH_POINT("cuda.stream.fill");
  fill(borrow(place(next), nullptr), mirror ? whole.subspan(kRecordBytes) : std::span<std::byte>());
  SHMLANE_CRASH_POINT("cuda.stream.filled");
  pack(next, whole);
  SHMLANE_CRASH_POINT("cuda.stream.packed");
  return view->commit() - 1;
}

GpuStream::GpuStream(std::unique_ptr<State> state) : state_(std::move(state)) {}
GpuStream::GpuStream(GpuStream&&) noexcept = default;
GpuStream& GpuStream::operator=(GpuStream&&) noexcept = default;
GpuStream::~GpuStream() = default;

GpuStream GpuStream::create(std::string_view name, const DType& dtype, const Dims& shape,
                            const GpuStreamOptions& options) {
  if (std::find(kDtypes.begin(), kDtypes.end(), dtype.text()) == kDtypes.end()) {
    throw UnsupportedType(dtype.text() +
                          " is no dtype of a stream on a GPU: float16/32/64, int8 to int64 and uint8 are");
  }
  static_cast<void>(own_stream(options.device));  // throws NoDevice before anything is made
  auto state = std::make_unique<State>(
      shmlane::Stream::create(name, record_dtype(dtype, shape, options.cpu_mirror), Dims(), options));
  state->mirror = options.cpu_mirror;
  try {
    state->make(dtype, shape, options.device);
  } catch (...) {
    state->stream.unlink();
    throw;
  }
  return GpuStream(std::move(state));
}

GpuStream GpuStream::open(std::string_view name, const StreamOptions& options) {
  auto state = std::make_unique<State>(shmlane::Stream::open(name, options));
  const Json dtype = state->stream.dtype().to_json();
  if (!is_record(dtype) || state->stream.shape().size() != 0 || state->value.size() < kRecordBytes) {
    throw InvalidArgument("stream '" + std::string(name) + "' lives in the host's memory, not on a GPU");
  }
  state->mirror = dtype.size() == 2;
  state->find();
  return GpuStream(std::move(state));
}

const DType& GpuStream::dtype() const noexcept { return state_->dtype; }
const Dims& GpuStream::shape() const noexcept { return state_->shape; }
bool GpuStream::cpu_mirror() const noexcept { return state_->mirror; }
shmlane::Stream& GpuStream::stream() noexcept { return state_->stream; }

std::uint64_t GpuStream::count() const {
  const std::uint64_t records = state_->stream.count();
  return records == 0 ? 0 : records - 1;
}

DeviceArray GpuStream::read() {
  int device = 0;
  {
    const std::lock_guard guard(state_->mutex);
    device = state_->place(state_->record()).device;
  }
  DeviceArray out = DeviceArray::allocate(state_->dtype, state_->shape, device);
  read(static_cast<const DeviceView&>(out));
  return out;
}

void GpuStream::read(const DeviceView& out) {
  {
    const std::lock_guard guard(state_->mutex);
    for (int i = 0; i < kTries; ++i) {
      if (state_->try_read(out)) return;
    }
  }
  state_->stream.acquire();
  const Lock lock(state_->stream);
  const std::lock_guard guard(state_->mutex);
  static_cast<void>(state_->try_read(out));
}

void GpuStream::read(std::span<std::byte> out) {
  if (out.size() != state_->nbytes) throw InvalidArgument("a value has " + std::to_string(state_->nbytes) + " bytes");
  if (!state_->mirror) return read().copy_to_host(out.data());
  const std::lock_guard guard(state_->mutex);
  static_cast<void>(state_->record());
  if (!out.empty()) std::memcpy(out.data(), state_->value.data() + kRecordBytes, out.size());
}

bool GpuStream::wait_after(std::uint64_t count, Timeout timeout) {
  return state_->stream.wait_after(count + 1, timeout);
}

std::optional<std::uint64_t> GpuStream::write(const DeviceView& value, Timeout timeout) {
  return state_->write(
      [&](const DeviceArray& slot, std::span<std::byte> mirror) {
        copy(value, slot);
        if (!mirror.empty()) slot.copy_to_host(mirror.data());
      },
      timeout);
}

std::optional<std::uint64_t> GpuStream::write(const NdView& value, Timeout timeout) {
  if (!(value.shape == state_->shape) || !(value.dtype == state_->dtype)) {
    throw InvalidArgument("stream '" + state_->stream.name() + "': a value of another shape or dtype");
  }
  std::vector<std::byte> packed(state_->nbytes);
  Codec<NdView>::write(value, packed);
  return state_->write(
      [&](const DeviceArray& slot, std::span<std::byte> mirror) {
        slot.copy_from_host(packed.data());
        if (!mirror.empty()) std::memcpy(mirror.data(), packed.data(), packed.size());
      },
      timeout);
}

}  // namespace shmlane::cuda
