// SPDX-License-Identifier: Apache-2.0
// One pthread_atfork registration for all fork-aware objects of the process.
#include "os/fork.hpp"

#include <pthread.h>

#include <mutex>

namespace shmlane::os {
namespace {

std::mutex& list_mutex() {
  static auto* mutex = new std::mutex;  // never destroyed: handles may outlive static destruction
  return *mutex;
}
ForkAware* first = nullptr;  // guarded by list_mutex

}  // namespace

struct ForkHandlers {
  template <class Act>
  static void for_each(Act&& act) {
    for (ForkAware* object = first; object != nullptr; object = object->next_) act(*object);
  }
  static void prepare() {
    list_mutex().lock();
    for_each([](ForkAware& object) { object.fork_safe_.lock(); });
  }
  static void in_parent() {
    for_each([](ForkAware& object) { object.fork_safe_.unlock(); });
    list_mutex().unlock();
  }
  static void in_child() {
    forks.fetch_add(1, std::memory_order_relaxed);
    for_each([](ForkAware& object) {
      object.in_forked_child();
      object.fork_safe_.unlock();
    });
    list_mutex().unlock();
  }
};

void ForkAware::watch_forks() {
  static const int registered =
      ::pthread_atfork(ForkHandlers::prepare, ForkHandlers::in_parent, ForkHandlers::in_child);
  (void)registered;
  const std::lock_guard guard(list_mutex());
  next_ = first;
  if (first != nullptr) first->previous_ = this;
  first = this;
}

void ForkAware::ignore_forks() noexcept {
  const std::lock_guard guard(list_mutex());
  if (previous_ != nullptr) previous_->next_ = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  if (first == this) first = next_;
}

}  // namespace shmlane::os
