#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "device/backend.h"
#include "gpu_vendor.h"

namespace musaic {

// What one capture gave the driver.
struct GpuRecording {
  gpuGraph_t graph = nullptr;  // the caller's to destroy
  std::string first_op;
  std::string last_op;
};

// A stream of the vendor's runtime. While it captures, launches are recorded by the driver. Engine thread
// only.
class GpuStream : public Stream {
 public:
  // `device`: its name for messages.
  explicit GpuStream(std::string device);
  ~GpuStream() override;
  GpuStream(const GpuStream&) = delete;
  GpuStream& operator=(const GpuStream&) = delete;

  gpuStream_t handle() const { return handle_; }
  const std::string& device() const { return device_; }
  void name_next(std::string_view op);
  const std::string& next_name() const { return op_; }

  // After a kernel's launches: throws LoadError "device: op: ..." if the driver refused one.
  void check_launch();
  // Throws LoadError while a capture is running, before the driver hears of it. `what`: "an allocation".
  void forbid_in_capture(const std::string& what) const;
  // Throws for an error of the runtime, naming device and op.
  void check(gpuError_t error, const char* what) const;

  void synchronize() override;
  // Waits for all that is enqueued.
  void wait();
  // A number for the launch that is about to be enqueued, and whether somebody has waited for it since.
  uint64_t count_launch() { return ++launches_; }
  uint64_t last_launch() const { return launches_; }
  bool has_ended(uint64_t launch) const { return launch <= ended_launches_; }
  // The host is about to wait for what was enqueued up to `launch`.
  void count_read(uint64_t launch) { ++(launch == launches_ ? waits_ : reads_); }
  uint64_t num_waits() const { return waits_; }  // any thread, like num_reads
  uint64_t num_reads() const { return reads_; }
  // Numbers on the device by which the blocks of one launch follow one another, each 0 before and after it.
  // REQUIRES: the launch touches them only when the one before it has ended.
  static constexpr int kNumCounters = 128;
  uint32_t* counters() const { return counters_; }
  void begin_capture();
  // Throws LoadError with the first error inside the capture if the driver gave it up.
  GpuRecording end_capture();
  bool is_capturing() const { return is_capturing_; }

 private:
  std::string where() const;

  const std::string device_;
  gpuStream_t handle_ = nullptr;
  uint32_t* counters_ = nullptr;
  std::string op_;
  bool is_capturing_ = false;
  uint64_t launches_ = 0;
  uint64_t ended_launches_ = 0;
  std::atomic<uint64_t> waits_{0};  // for all that was enqueued
  std::atomic<uint64_t> reads_{0};  // for less
  GpuRecording recording_;
  std::string capture_error_;  // the first launch that the driver refused inside the capture
};

inline GpuStream& gpu_stream(Stream& stream) {
  return static_cast<GpuStream&>(stream);
}

}  // namespace musaic
