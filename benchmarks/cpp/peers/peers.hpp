// SPDX-License-Identifier: Apache-2.0
// One maker per peer. CMake leaves out those whose library is not there, and the driver reports them.
#pragma once

#include <memory>

#include "peer.hpp"

namespace bench {

std::unique_ptr<Peer> make_shmlane();
std::unique_ptr<Peer> make_boost();
std::unique_ptr<Peer> make_zeromq();
std::unique_ptr<Peer> make_nng();
std::unique_ptr<Peer> make_unix_socket();
std::unique_ptr<Peer> make_pipe();
std::unique_ptr<Peer> make_stdio();
std::unique_ptr<Peer> make_stream();
std::unique_ptr<Peer> make_stream_write();
std::unique_ptr<Peer> make_stream_read();
std::unique_ptr<Peer> make_stream_observed();
std::unique_ptr<Peer> make_attach_tensor();

// Not peers but limits: what this machine can do at all.
std::unique_ptr<Peer> make_bare_slots();
std::unique_ptr<Peer> make_bare_write();
std::unique_ptr<Peer> make_bare_observed();
std::unique_ptr<Peer> make_locked_add();
std::unique_ptr<Peer> make_one_copy();
std::unique_ptr<Peer> make_cache_line();
std::unique_ptr<Peer> make_semaphore();
std::unique_ptr<Peer> make_memcpy();
std::unique_ptr<Peer> make_sum();
std::unique_ptr<Peer> make_first_touch();

}  // namespace bench
