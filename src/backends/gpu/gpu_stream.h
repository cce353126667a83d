#pragma once

#include "device/backend.h"
#include "gpu_vendor.h"

namespace musaic {

// A stream of the vendor's runtime. While it captures, launches are recorded by the driver. Engine thread
// only.
class GpuStream : public Stream {
 public:
  gpuStream_t handle() const { return handle_; }
  void name_next(const char* op) { op_ = op; }
  const char* next_name() const { return op_; }

  // After a kernel's launches: throws LoadError "op: ..." if the driver refused one.
  void check_launch() const;

 private:
  gpuStream_t handle_ = nullptr;
  const char* op_ = "";
};

inline GpuStream& gpu_stream(Stream& stream) {
  return static_cast<GpuStream&>(stream);
}

}  // namespace musaic
