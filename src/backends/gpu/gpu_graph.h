#pragma once

#include "backends/gpu/gpu_stream.h"
#include "gpu_runtime.h"

namespace musaic {

// A capture as an executable of the driver, uploaded, so that its first launch is as fast as the others.
class GpuGraph : public CapturedGraph {
 public:
  // Takes the recording. Throws LoadError when the driver has no room for it.
  GpuGraph(GpuRecording recording, GpuStream& stream);
  ~GpuGraph() override;
  GpuGraph(const GpuGraph&) = delete;
  GpuGraph& operator=(const GpuGraph&) = delete;

  void replay(Stream& stream) override;
  int num_launches() const override { return num_launches_; }
  size_t bytes() const override;  // a mean: see gpu_graph.cpp

 private:
  std::string name_;  // "a piece of 7 launches, aten::rms_norm to aten::linear"
  int num_launches_ = 0;
  gpuGraphExec_t executable_ = nullptr;
};

}  // namespace musaic
