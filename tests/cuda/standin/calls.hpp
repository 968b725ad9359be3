// SPDX-License-Identifier: Apache-2.0
// What the stand-in driver's calls have in common.
#pragma once

#include <cuda.h>

#include <string>

#include "machine.hpp"

namespace standin {

inline CUresult refuse(CUresult result, const std::string& what) {
  misuse(what);
  return result;
}

// What every call but a few needs: an initialised driver of this very process, and a context.
CUresult ready();
#define READY() \
  if (const CUresult unready = standin::ready(); unready != CUDA_SUCCESS) return unready

int current_device();
// Null if there is none.
Stream* stream_of(CUstream stream);
Event* event_of(CUevent event);

CUresult drop_piece(CUdeviceptr address, bool opened);

}  // namespace standin
