#pragma once

#include "backends/gpu/gpu_stream.h"
#include "device/host_reader.h"
#include "gpu_runtime.h"

namespace musaic {

// Reads into page-locked memory of its own.
class GpuReader : public HostReader {
 public:
  GpuReader(GpuStream& stream, size_t bytes);
  ~GpuReader() override;
  GpuReader(const GpuReader&) = delete;
  GpuReader& operator=(const GpuReader&) = delete;

  void start(const void* source, size_t bytes, Stream& stream) override;
  const void* wait() override;

 private:
  GpuStream& stream_;
  size_t bytes_;
  void* values_ = nullptr;
  gpuEvent_t read_ = nullptr;  // behind the copy
  uint64_t launch_ = 0;        // the last before the copy
};

}  // namespace musaic
