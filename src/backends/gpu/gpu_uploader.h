#pragma once

#include <string>

#include "device/uploader.h"
#include "gpu_runtime.h"
#include "tensor/device.h"

namespace musaic {

// Two rooms of page-locked memory and a stream of its own, which waits for no other.
class GpuUploader : public Uploader {
 public:
  GpuUploader(const Device& device, size_t piece_bytes);
  ~GpuUploader() override;
  GpuUploader(const GpuUploader&) = delete;
  GpuUploader& operator=(const GpuUploader&) = delete;

  std::byte* room() override;
  void upload(void* destination, size_t bytes) override;
  void finish() override;

 private:
  void check(gpuError_t error, const char* what) const;
  void release();

  const std::string device_;
  const size_t piece_bytes_;
  gpuStream_t stream_ = nullptr;
  gpuEvent_t copied_[2] = {};  // behind the last copy from a room
  void* memory_ = nullptr;
  int room_ = 0;
};

}  // namespace musaic
