#include "backends/gpu/gpu_stream.h"

#include "backends/gpu/gpu_error.h"
#include "base/status.h"
#include "gpu_runtime.h"

namespace musaic {

GpuStream::GpuStream(std::string device) : device_(std::move(device)) {
  check(gpuStreamCreate(&handle_), "making a stream");
  constexpr size_t kBytes = kNumCounters * sizeof(uint32_t);
  void* counters = nullptr;
  check(gpuMalloc(&counters, kBytes), "an allocation");
  counters_ = static_cast<uint32_t*>(counters);
  check(gpuMemsetAsync(counters_, 0, kBytes, handle_), "zeroing memory");
}

GpuStream::~GpuStream() {
  gpuFree(counters_);
  gpuStreamDestroy(handle_);
}

std::string GpuStream::where() const {
  return op_.empty() ? device_ : fmt::format("{}: {}", device_, op_);
}

// The frequent case makes no string.
void GpuStream::check(gpuError_t error, const char* what) const {
  if (error != gpuSuccess) check_gpu(error, where(), what);
}

void GpuStream::name_next(std::string_view op) {
  op_ = op;
  if (!is_capturing_) return;
  if (recording_.first_op.empty()) recording_.first_op = op;
  recording_.last_op = op;
}

void GpuStream::check_launch() {
  if (!is_capturing_) count_launch();
  const gpuError_t error = gpuGetLastError();
  if (error == gpuSuccess) return;
  if (is_capturing_ && capture_error_.empty())
    capture_error_ = fmt::format("{}: a launch failed: {}", where(), gpuGetErrorString(error));
  check(error, "a launch");
}

void GpuStream::forbid_in_capture(const std::string& what) const {
  if (is_capturing_) fail_load("{}: {} inside a capture", where(), what);
}

void GpuStream::synchronize() {
  forbid_in_capture("a synchronization");
  wait();
}

void GpuStream::wait() {
  ++waits_;
  check(gpuStreamSynchronize(handle_), "waiting for the device");
  ended_launches_ = launches_;
}

void GpuStream::begin_capture() {
  forbid_in_capture("a capture");
  synchronize();
  check(gpuStreamBeginCapture(handle_), "beginning a capture");
  is_capturing_ = true;
  recording_ = {};
  capture_error_.clear();
}

GpuRecording GpuStream::end_capture() {
  CHECK(is_capturing_, "no capture is running");
  is_capturing_ = false;
  const gpuError_t error = gpuStreamEndCapture(handle_, &recording_.graph);
  if (error != gpuSuccess && !capture_error_.empty()) {
    gpuGetLastError();
    throw LoadError(capture_error_);
  }
  check(error, "a capture");
  return recording_;
}

}  // namespace musaic
