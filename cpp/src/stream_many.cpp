// SPDX-License-Identifier: Apache-2.0
// Several streams at once: waiting for any of them, locking all of them.
#include <algorithm>
#include <string>

#include "shmlane/stream.hpp"
#include "stream_core.hpp"
#include "waiting.hpp"

namespace shmlane {
namespace {

[[noreturn]] void throw_unsupported() {
  throw SystemError("waiting for several streams at once needs futex_waitv, of Linux 5.16, or threads; wait for fewer");
}

}  // namespace

std::vector<std::size_t> wait_any(std::span<Stream* const> streams, Timeout timeout) {
  if (streams.size() > os::kMostFutexes) {
    throw InvalidArgument("wait_any takes up to 128 streams, not " + std::to_string(streams.size()));
  }
  const os::Deadline deadline(timeout);
  const auto fresh = [&] {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < streams.size(); ++i) {
      if (streams[i]->count() > streams[i]->last_read()) found.push_back(i);
    }
    return found;
  };
  std::vector<std::uint32_t> cancellations;
  for (Stream* stream : streams) cancellations.push_back(stream->core().cancellations());
  std::vector<os::FutexWord> heard(streams.size());
  for (;;) {
    if (std::vector<std::size_t> found = fresh(); !found.empty() || streams.empty()) return found;
    if (deadline.passed()) return {};
    for (std::size_t i = 0; i < streams.size(); ++i) heard[i] = streams[i]->core().value_bell().listen();
    if (std::vector<std::size_t> found = fresh(); !found.empty()) return found;
    for (std::size_t i = 0; i < streams.size(); ++i) {
      streams[i]->core().check_wait();
      if (streams[i]->core().cancelled_since(cancellations[i])) return {};
    }
    if (os::futex_wait_any(heard, deadline.slice_end(kSliceNs)) == os::FutexWait::kUnsupported) throw_unsupported();
  }
}

std::optional<StreamLocks> locked_many(std::span<Stream* const> streams, Timeout timeout) {
  std::vector<Stream*> order(streams.begin(), streams.end());
  // By name: of one name there is one stream at a time, and whoever has an older one gets Removed.
  std::sort(order.begin(), order.end(), [](const Stream* a, const Stream* b) { return a->name() < b->name(); });
  const os::Deadline deadline(timeout);
  StreamLocks locks;
  locks.held_.reserve(order.size());
  for (Stream* stream : order) {
    if (stream->core().lock(deadline) == 0) return std::nullopt;
    locks.held_.push_back(stream);
  }
  return locks;
}

StreamLocks::~StreamLocks() {
  for (auto stream = held_.rbegin(); stream != held_.rend(); ++stream) {
    if ((*stream)->locked_here()) (*stream)->release();
  }
}

}  // namespace shmlane
