#pragma once

#include <vector>

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/gpu_transfer.h"
#include "device/host_reader.h"
#include "gpu_runtime.h"

namespace musaic {

// Reads into page-locked memory of its own: words by a kernel where kernels reach it, each numbered with its
// read, so that the host sees when they are there; else by the driver's copy with an event behind it.
// REQUIRES of start(): whole words of 4 bytes.
class GpuReader : public HostReader {
 public:
  GpuReader(GpuStream& stream, size_t bytes);
  ~GpuReader() override;
  GpuReader(const GpuReader&) = delete;
  GpuReader& operator=(const GpuReader&) = delete;

  void start(const void* source, size_t bytes, Stream& stream) override;
  const void* wait() override;

 private:
  void take_words();
  bool has_word(size_t i);

  GpuStream& stream_;
  size_t bytes_;
  void* memory_ = nullptr;       // numbered words, or the driver's copy
  std::vector<uint32_t> words_;  // of the read, as they are taken
  size_t num_words_ = 0;         // of the read
  uint32_t number_ = 0;          // of the read
  gpuEvent_t read_ = nullptr;    // behind the driver's copy
  uint64_t launch_ = 0;          // the last before the read
};

}  // namespace musaic
