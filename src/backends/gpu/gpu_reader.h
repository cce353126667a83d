#pragma once

#include "backends/gpu/gpu_stream.h"
#include "device/host_reader.h"
#include "gpu_runtime.h"

namespace musaic {

// Reads into page-locked memory of its own: words by a kernel that sets a flag behind them where kernels can,
// else by the driver's copy with an event behind it.
class GpuReader : public HostReader {
 public:
  GpuReader(GpuStream& stream, size_t bytes);
  ~GpuReader() override;
  GpuReader(const GpuReader&) = delete;
  GpuReader& operator=(const GpuReader&) = delete;

  void start(const void* source, size_t bytes, Stream& stream) override;
  const void* wait() override;

 private:
  void wait_for_flag() const;

  GpuStream& stream_;
  size_t bytes_;
  void* memory_ = nullptr;    // the flag, then the values
  uint32_t* flag_ = nullptr;  // number_ once the kernel is done
  void* values_ = nullptr;
  gpuEvent_t read_ = nullptr;  // behind the driver's copy
  uint32_t number_ = 0;        // of the read
  bool is_by_kernel_ = false;  // the last read
  uint64_t launch_ = 0;        // the last before the read
};

}  // namespace musaic
