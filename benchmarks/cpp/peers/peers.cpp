// SPDX-License-Identifier: Apache-2.0
// The table of all peers that were built.
#include "peers.hpp"

#include <string>

namespace bench {

std::span<const NamedPeer> all_peers() {
  static constexpr NamedPeer kPeers[] = {
      {"shmlane", make_shmlane},
      {"boost", make_boost},
#ifdef BENCH_ZEROMQ
      {"zeromq", make_zeromq},
#endif
#ifdef BENCH_NNG
      {"nng", make_nng},
#endif
      {"unix-socket", make_unix_socket},
      {"pipe", make_pipe},
      {"stdio", make_stdio},
      {"stream", make_stream},
      {"stream-write", make_stream_write},
      {"stream-read", make_stream_read},
      {"stream-observed", make_stream_observed},
      {"attach-tensor", make_attach_tensor},
      {"bare-slots", make_bare_slots},
      {"bare-write", make_bare_write},
      {"bare-observed", make_bare_observed},
      {"locked-add", make_locked_add},
      {"one-copy", make_one_copy},
      {"cache-line", make_cache_line},
      {"semaphore", make_semaphore},
      {"memcpy", make_memcpy},
      {"sum", make_sum},
      {"first-touch", make_first_touch},
  };
  return kPeers;
}

std::unique_ptr<Peer> make_peer(const std::string& name) {
  for (const NamedPeer& peer : all_peers()) {
    if (name == peer.name) return peer.make();
  }
  throw std::invalid_argument("this build has no peer " + name);
}

}  // namespace bench
