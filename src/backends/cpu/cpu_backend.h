#pragma once

#include <memory>
#include <optional>
#include <string>

#include "backends/cpu/cpu_isa.h"
#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/thread_pool.h"
#include "device/backend.h"

namespace musaic {

struct CpuBackendOptions {
  int num_threads = 0;        // 0: the CPUs that the process may use
  std::optional<CpuIsa> isa;  // nullopt: the processor's highest
};

// This machine's processors: one stream over a thread pool, memory that is mapped and touched on demand.
class CpuBackend : public Backend {
 public:
  // Throws LoadError: the processor lacks the instruction set.
  explicit CpuBackend(const CpuBackendOptions& options = {});

  const Device& device() const override { return device_; }
  const Capabilities& capabilities() const override { return capabilities_; }
  bool reads_host_memory() const override { return true; }
  // Zeroed, page-aligned; from 2 MiB on at a 2 MiB border. Huge pages when `purpose` begins with "weights":
  // what is written only in part (KV, arena) would take more memory with them.
  std::unique_ptr<DeviceMemory> allocate(size_t bytes, const std::string& purpose) override;
  Stream& stream() override { return stream_; }
  void begin_capture(Stream& stream) override;
  std::unique_ptr<CapturedGraph> end_capture(Stream& stream) override;
  void copy_to_device(void* destination, const void* source, size_t bytes, Stream& stream) override;
  void copy_to_host(void* destination, const void* source, size_t bytes, Stream& stream) override;
  void zero(void* destination, size_t bytes, Stream& stream) override;
  void name_next(const char* op) override { stream_.name_next(op); }

  CpuIsa isa() const { return isa_; }
  int num_threads() const { return pool_.size(); }
  ThreadPool& pool() { return pool_; }

 private:
  CpuIsa isa_;
  Capabilities capabilities_;
  Device device_;
  ThreadPool pool_;
  CpuStream stream_;
};

}  // namespace musaic
