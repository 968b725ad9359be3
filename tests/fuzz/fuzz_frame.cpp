// SPDX-License-Identifier: Apache-2.0
// Any bytes as a frame of a ring: parse_frame and checked_extent (SPEC section 4).
// Input: how to seal (1 byte), segment id, position (8 bytes each), then the frame.
#include "frame_seal.hpp"
#include "input.hpp"
#include "shmlane/codec.hpp"
#include "shmlane/error.hpp"
#include "shmlane/frame.hpp"
#include "support/aligned_bytes.hpp"

using namespace shmlane;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const bool seal = (input.take<std::uint8_t>() & 1) != 0;
  const auto segment_id = input.take<std::uint64_t>();
  const auto position = input.take<std::uint64_t>();
  const AlignedBytes frame(input.rest());
  // A liar who knows how to seal: only the bounds can give him away.
  if (seal) fuzz::seal_frame({frame.data(), frame.size()}, segment_id, position);
  const std::uint64_t extent = checked_extent(frame.data(), frame.size(), segment_id, position);
  fuzz::expect(extent <= frame.size() && extent % wire::kAlignment == 0, "an extent beyond the bytes there are");
  try {
    const FrameView view = parse_frame(frame.data(), frame.size(), segment_id, position);
    fuzz::expect(extent != 0, "a frame was read that a scan would not step over");
    fuzz::touch(view.metadata);
    fuzz::touch(view.payload);
    static_cast<void>(parse_metadata(view.metadata));
  } catch (const Corrupt&) {
  }
  return 0;
}
