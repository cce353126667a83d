#include "backends/gpu/gpu_uploader.h"

#include "backends/gpu/gpu_error.h"

namespace musaic {

GpuUploader::GpuUploader(const Device& device, size_t piece_bytes)
    : device_(to_string(device)), piece_bytes_(piece_bytes) {
  try {
    check(gpuSetDevice(device.index), "opening the device");
    check(gpuStreamCreate(&stream_), "making a stream");
    for (gpuEvent_t& event : copied_) check(gpuEventCreate(&event), "making an event");
    check(gpuHostAlloc(&memory_, 2 * piece_bytes_), "page-locking host memory");
  } catch (...) {
    release();
    throw;
  }
}

GpuUploader::~GpuUploader() {
  release();
}

void GpuUploader::release() {
  if (stream_ != nullptr) gpuStreamSynchronize(stream_);
  if (memory_ != nullptr) gpuHostFree(memory_);
  for (gpuEvent_t event : copied_) {
    if (event != nullptr) gpuEventDestroy(event);
  }
  if (stream_ != nullptr) gpuStreamDestroy(stream_);
}

std::byte* GpuUploader::room() {
  check(gpuEventSynchronize(copied_[room_]), "waiting for a copy");
  return static_cast<std::byte*>(memory_) + static_cast<size_t>(room_) * piece_bytes_;
}

void GpuUploader::upload(void* destination, size_t bytes) {
  const auto* from = static_cast<const std::byte*>(memory_) + static_cast<size_t>(room_) * piece_bytes_;
  check(gpuCopyToDevice(destination, from, bytes, stream_), "a copy from the host");
  check(gpuEventRecord(copied_[room_], stream_), "recording an event");
  room_ = 1 - room_;
}

void GpuUploader::finish() {
  check(gpuStreamSynchronize(stream_), "waiting for copies");
}

void GpuUploader::check(gpuError_t error, const char* what) const {
  check_gpu(error, device_, what);
}

}  // namespace musaic
