// SPDX-License-Identifier: Apache-2.0
// What scenarios are made of: handles, objects that are accounted for, and participants that died before.
#pragma once

#include <memory>
#include <vector>

#include "world.hpp"

namespace kill_tests {

inline constexpr std::string_view kBytes = R"({"type":"bytes"})";
inline constexpr std::size_t kFifth = 600;  // five frames of it fill the ring

std::shared_ptr<shmlane::Producer> producer(const World& world,
                                            const shmlane::ProducerOptions& options = {
                                                {.capacity = 4096}, shmlane::Policy::kBlock, shmlane::forever});
std::shared_ptr<shmlane::Consumer> consumer(const World& world, const shmlane::ConsumerOptions& options = {
                                                                    {}, shmlane::wire::OnDeath::kRedeliver, 255});

void push_some(const World& world, shmlane::Producer& producer, unsigned count, std::size_t size = kFifth,
               Pusher pusher = kVictim);
void pop_some(const World& world, shmlane::Consumer& consumer, unsigned count);
std::vector<shmlane::Lease> acquire_some(const World& world, shmlane::Consumer& consumer, unsigned count);

// One object between reserve and commit.
class Written {
 public:
  Written(const World& world, shmlane::Producer& producer, std::size_t size, Pusher pusher = kVictim);
  void commit();
  void abort();

 private:
  Board::Entry& entry_;
  shmlane::Reservation reservation_;
};

// `life` in a process of its own, which dies by SIGKILL with all that it has on its stack.
void predecessor(const std::function<void()>& life);
[[noreturn]] void die();
// As if this process died right after taking the locks.
void keep_locks(const World& world, bool producers, bool consumers);
void die_with_reservations(const World& world, bool locked);
void die_with_leases(const World& world, shmlane::wire::OnDeath on_death, bool locked);

}  // namespace kill_tests
