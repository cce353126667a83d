#pragma once

#include <memory>
#include <string>

#include "backends/cpu/cpu_backend.h"
#include "backends/simulated/simulated_stream.h"

namespace musaic {

// A strict device for tests of rules and passes: it computes with the CPU's kernels in memory of its own that
// no kernel may leave, and keeps the rules of captures like the strictest driver. A breach is a LoadError
// that names the op (name_next) and the rule:
//   inside a capture   no allocation, synchronization, copy from or to the host, or second capture; no work
//                      on another stream than the one that captures
//   always             every address that a kernel or copy uses lies inside one live allocation
//   at replay          nothing that the piece uses was freed since
// Its addresses are not the host's (live_memory.h).
class SimulatedBackend : public Backend {
 public:
  // Throws LoadError: the processor lacks the instruction set.
  explicit SimulatedBackend(const CpuBackendOptions& options = {});

  const Device& device() const override { return device_; }
  const Capabilities& capabilities() const override { return cpu_.capabilities(); }
  // The memory must not outlive the backend.
  std::unique_ptr<DeviceMemory> allocate(size_t bytes, const std::string& purpose) override;
  Stream& stream() override { return stream_; }
  void begin_capture(Stream& stream) override;
  std::unique_ptr<CapturedGraph> end_capture(Stream& stream) override;
  void copy_to_device(void* destination, const void* source, size_t bytes, Stream& stream) override;
  void copy_to_host(void* destination, const void* source, size_t bytes, Stream& stream) override;
  void zero(void* destination, size_t bytes, Stream& stream) override;
  void name_next(const char* op) override;

  // A second stream of the device.
  std::unique_ptr<Stream> make_stream();
  // Since construction.
  size_t copied_to_device_bytes() const { return copied_to_device_bytes_; }

 private:
  CpuBackend cpu_;
  Device device_{"simulated", 0};
  SimulatedState state_;
  SimulatedStream stream_;
  size_t copied_to_device_bytes_ = 0;
};

}  // namespace musaic
