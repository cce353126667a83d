#pragma once

#include <cstddef>
#include <cstdint>

#include "device/backend.h"

namespace musaic {

// Work for several host threads: body(arguments, part, num_parts) once for each part.
struct PartsLaunch {
  static constexpr size_t kMaxArgumentBytes = 384;

  void (*body)(const void* arguments, int64_t part, int64_t num_parts) = nullptr;
  const void* arguments = nullptr;  // copied, to a place aligned to 16 bytes
  size_t argument_bytes = 0;
  int64_t num_parts = 0;  // 0: as many as there are threads
};

// How a backend whose kernels run on host threads takes such work, run or recorded as its stream is: for
// kernels that do not know the backend.
struct HostThreads {
  // REQUIRES: a stream of that backend, at most kMaxArgumentBytes.
  void (*launch)(Stream& stream, const PartsLaunch& launch) = nullptr;
  int (*count)(Stream& stream) = nullptr;
};

}  // namespace musaic
