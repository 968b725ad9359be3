// SPDX-License-Identifier: Apache-2.0
// Plans of a gather: as few dimensions and as large words as can be. Nothing here needs a GPU, or the stand-in for one.
#include <doctest/doctest.h>

#include <vector>

#include "cuda/copies.hpp"
#include "shmlane/error.hpp"

namespace {

using shmlane::Dims;
using shmlane::DType;
using shmlane::cuda::DeviceView;
using shmlane::cuda::GatherPlan;
using shmlane::cuda::plan_gather;

constexpr std::uint64_t kPlace = 1 << 20;

GatherPlan plan(const char* dtype, const Dims& shape, const Dims& strides, std::uint64_t data = kPlace) {
  DeviceView view;
  view.dtype = DType(dtype);
  view.shape = shape;
  view.strides = strides;
  view.data = data;
  return plan_gather(view, kPlace);
}

TEST_CASE("rows of a picture are gathered in the largest words that their pitch allows") {
  const GatherPlan rows = plan("|u1", {480, 640, 3}, {2048, 3, 1});
  CHECK(rows.dimensions == 2);
  CHECK(rows.word == 16);
  CHECK(rows.words == 480 * 640 * 3 / 16);
  CHECK(rows.shape[1] == 640 * 3 / 16);
  CHECK(rows.strides[0] == 2048);
}

TEST_CASE("an item is one word where every second one is taken, and a transposed matrix keeps both dimensions") {
  CHECK(plan("<f8", {100}, {16}).word == 8);
  const GatherPlan turned = plan("<f4", {30, 20}, {4, 120});
  CHECK(turned.word == 4);
  CHECK(turned.dimensions == 2);
}

TEST_CASE("items of an odd size, or at an odd place, are gathered in smaller words") {
  CHECK(plan("|S6", {10}, {12}).word == 2);
  CHECK(plan("<f4", {10}, {8}, kPlace + 2).word == 2);
  CHECK(plan("|u1", {10}, {-3}).word == 1);
}

TEST_CASE("more dimensions than the CUDA kernel has are refused") {
  const std::vector<std::int64_t> shape(20, 2), strides(20, 12);
  CHECK_THROWS_AS(plan("<f4", Dims(shape), Dims(strides)), shmlane::UnsupportedType);
}

}  // namespace
