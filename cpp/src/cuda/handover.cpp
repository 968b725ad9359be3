// SPDX-License-Identifier: Apache-2.0
// The thread that hands over descriptors, and asking one of another process.
#include "cuda/handover.hpp"

#include <array>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include "crash_point.hpp"
#include "shmlane/error.hpp"

namespace shmlane::cuda {
namespace {

using os::cuda::Listener;
using os::cuda::Question;

constexpr std::chrono::seconds kPatience{5};

using Key = std::array<std::byte, 16>;

struct Address {  // what is in a handle (W-152)
  Key name;       // of the exporter's socket
  Key asks;       // shown by who asks
  Key answers;    // shown by who answers
  std::uint64_t size;
  std::uint64_t zero;
};
static_assert(sizeof(Address) == sizeof(CudaPlacement::Handle));

struct Request {
  AllocationId id;
  Key asks;
};
static_assert(sizeof(Request) == 24);

Key random_key() {
  std::random_device random;
  std::array<unsigned, sizeof(Key) / sizeof(unsigned)> words{};
  for (unsigned& word : words) word = random();
  Key key{};
  std::memcpy(key.data(), words.data(), key.size());
  return key;
}

// In a time that tells nothing of where they differ.
bool same(const Key& one, const Key& other) noexcept {
  std::byte difference{0};
  for (std::size_t i = 0; i < one.size(); ++i) difference |= one[i] ^ other[i];
  return difference == std::byte{0};
}

std::string socket_name(const Key& key) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string name = "shmlane.cuda.";
  for (const std::byte byte : key) {
    name += kDigits[std::to_integer<unsigned>(byte) >> 4];
    name += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return name;
}

class Desk {
 public:
  Address add(AllocationId id, int descriptor, std::uint64_t size) {
    const std::lock_guard lifetime(lifetime_);
    if (!listener_) open();
    const Address address{name_, random_key(), random_key(), size, 0};
    const std::lock_guard guard(mutex_);
    offers_[id] = {address.asks, address.answers, descriptor};
    return address;
  }

  void remove(AllocationId id) noexcept {
    const std::lock_guard lifetime(lifetime_);
    {
      const std::lock_guard guard(mutex_);
      offers_.erase(id);
      if (!offers_.empty() || !listener_) return;
    }
    listener_->stop();
    thread_.join();
    listener_.reset();
  }

 private:
  struct Offer {
    Key asks, answers;
    int descriptor;
  };

  void open() {
    name_ = random_key();
    listener_.emplace(socket_name(name_));
    try {
      thread_ = os::cuda::start_without_signals([this] { serve(); });
    } catch (const DeviceFailed&) {
      listener_.reset();
      throw;
    }
  }

  void serve() noexcept {
    while (const std::optional<Question> question = listener_->next()) {
      SHMLANE_CRASH_POINT("cuda.handover.asked");
      Request request{};
      if (!question->read(std::as_writable_bytes(std::span(&request, 1)))) continue;
      // Under the mutex, so that the descriptor stays open meanwhile.
      const std::lock_guard guard(mutex_);
      const auto offer = offers_.find(request.id);
      if (offer == offers_.end() || !same(offer->second.asks, request.asks)) continue;
      question->answer(offer->second.answers, offer->second.descriptor);
      SHMLANE_CRASH_POINT("cuda.handover.answered");
    }
  }

  std::mutex lifetime_;  // of the thread
  std::mutex mutex_;
  std::map<AllocationId, Offer> offers_;
  Key name_{};
  std::optional<Listener> listener_;
  std::thread thread_;
};

Desk& desk() {
  static auto* const desk = new Desk;  // never destroyed: at the end of the process the thread sleeps
  return *desk;
}

}  // namespace

CudaPlacement::Handle offer(AllocationId id, const os::cuda::Descriptor& descriptor, std::uint64_t size) {
  const Address address = desk().add(id, descriptor.get(), size);
  CudaPlacement::Handle handle{};
  std::memcpy(handle.data(), &address, sizeof address);
  return handle;
}

void withdraw(AllocationId id) noexcept { desk().remove(id); }

HandedOver ask_for(AllocationId id, const CudaPlacement::Handle& handle, const std::function<void()>& meanwhile) {
  Address address{};
  std::memcpy(&address, handle.data(), sizeof address);
  const Request request{id, address.asks};
  Key answer{};
  SHMLANE_CRASH_POINT("cuda.import.ask");
  os::cuda::Descriptor found =
      os::cuda::ask(socket_name(address.name), std::as_bytes(std::span(&request, 1)), answer, kPatience, meanwhile);
  if (!same(answer, address.answers)) throw DeviceFailed("memory of a GPU was handed over by somebody else");
  SHMLANE_CRASH_POINT("cuda.import.handed");
  return {std::move(found), address.size};
}

}  // namespace shmlane::cuda
