#pragma once

#include <list>

#include "backends/gpu/gpu_stream.h"
#include "gpu_runtime.h"

namespace musaic {

class GpuExecutables;

// A capture that the driver can launch. Its executable is made and uploaded at once, so that its first launch
// is as fast as the others; under a budget of executables it may come and go, and the recording is kept.
class GpuGraph : public CapturedGraph {
 public:
  // Takes the recording. Throws LoadError when the driver has no room for it. REQUIRES: `executables`
  // outlives this.
  GpuGraph(GpuRecording recording, GpuStream& stream, GpuExecutables& executables);
  ~GpuGraph() override;
  GpuGraph(const GpuGraph&) = delete;
  GpuGraph& operator=(const GpuGraph&) = delete;

  void replay(Stream& stream) override;
  int num_launches() const override { return num_launches_; }
  size_t bytes() const override;

 private:
  friend class GpuExecutables;  // which moves executables between graphs

  std::string name_;  // "a piece of 7 launches, aten::rms_norm to aten::linear"
  int num_launches_ = 0;
  GpuExecutables& executables_;
  gpuGraph_t recording_ = nullptr;        // kept under a budget
  gpuGraphExec_t executable_ = nullptr;   // nullptr: another graph has it
  std::list<GpuGraph*>::iterator place_;  // among those with an executable
  uint64_t last_launch_ = 0;
};

}  // namespace musaic
