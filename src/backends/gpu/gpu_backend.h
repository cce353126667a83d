#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "backends/gpu/gpu_executables.h"
#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/pinned_ring.h"
#include "device/backend.h"
#include "device/bulk_memory.h"
#include "device/gpu_options.h"
#include "device/launch_ahead.h"
#include "device/memory_size.h"

namespace musaic {

struct WordUpload;

// How many GPUs the driver shows; 0 without a driver.
int count_gpus();

// The type of the GPUs of this build: "cuda".
const char* gpu_device_type();

// Zeros where the driver does not tell.
DeviceMemorySize gpu_memory_size(const Device& device);

// One GPU: one stream, captures that become executables of the driver, copies through page-locked memory.
// Errors name device and op. Throws LoadError: no driver, too old a driver, no such device, or a device that
// this binary has no machine code for.
class GpuBackend : public Backend, public BulkMemory, public LaunchAhead {
 public:
  explicit GpuBackend(const GpuOptions& options);
  ~GpuBackend() override;

  const Device& device() const override { return device_; }
  // The architecture ("sm_90", "mp_31"), the vendor's kGpuFeatures; "recorded_breaks", "whole_extend" and
  // "whole_decode": every kernel can be captured.
  const Capabilities& capabilities() const override { return capabilities_; }
  std::unique_ptr<DeviceMemory> allocate(size_t bytes, const std::string& purpose) override;
  Stream& stream() override;
  void begin_capture(Stream& stream) override;
  std::unique_ptr<CapturedGraph> end_capture(Stream& stream) override;
  void copy_to_device(void* destination, const void* source, size_t bytes, Stream& stream) override;
  void copy_to_host(void* destination, const void* source, size_t bytes, Stream& stream) override;
  void zero(void* destination, size_t bytes, Stream& stream) override;
  void fill(void* destination, std::byte value, size_t bytes) override;
  uint64_t checksum(const void* data, size_t bytes) override;
  std::unique_ptr<Uploader> make_uploader(size_t piece_bytes) override;
  void name_next(const char* op) override { stream_->name_next(op); }
  GraphExecutables graph_executables() const override { return executables_->totals(); }
  DeviceCalls device_calls() const override;
  std::unique_ptr<StreamClock> make_clock() override;
  std::unique_ptr<HostReader> make_reader(size_t bytes) override;
  void upload(void* destination, const void* source, std::span<const UploadRange> ranges,
              std::span<const DeviceCopy> parts, Stream& stream) override;
  size_t executable_bytes(int launches) const override { return bytes_of_executable(launches); }
  size_t executable_bytes() const override { return kExecutableBytes; }
  size_t free_bytes() const override { return gpu_memory_size(device_).free_bytes; }

  const std::string& model_name() const { return model_name_; }  // "NVIDIA H200"

 private:
  void enter();
  bool upload_by_kernel(void* destination, const void* source, std::span<const UploadRange> ranges,
                        std::span<const DeviceCopy> parts);
  bool stage_groups(const void* source, std::span<const UploadRange> ranges, WordUpload& upload);

  const Device device_;
  std::string model_name_;
  Capabilities capabilities_;
  std::thread::id current_thread_;  // whose current device is this one
  std::unique_ptr<GpuStream> stream_;
  std::unique_ptr<PinnedRing> ring_;
  std::unique_ptr<GpuExecutables> executables_;
  std::atomic<uint64_t> allocations_{0};
  std::unique_ptr<DeviceMemory> checksum_;  // a word, from the first checksum on
};

}  // namespace musaic
