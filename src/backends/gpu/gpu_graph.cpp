#include "backends/gpu/gpu_graph.h"

#include <fmt/format.h>

namespace musaic {
namespace {

size_t free_device_bytes() {
  size_t free_bytes = 0;
  size_t total_bytes = 0;
  return gpuMemGetInfo(&free_bytes, &total_bytes) == gpuSuccess ? free_bytes : 0;
}

std::string name_of(const GpuRecording& recording, size_t launches) {
  return fmt::format("a piece of {} launches, {} to {}", launches, recording.first_op, recording.last_op);
}

}  // namespace

GpuGraph::GpuGraph(GpuRecording recording, GpuStream& stream) {
  size_t launches = 0;
  gpuGraphGetNodeCount(recording.graph, &launches);
  num_launches_ = static_cast<int>(launches);
  name_ = name_of(recording, launches);
  stream.name_next(name_);
  const size_t free_before = free_device_bytes();
  const gpuError_t error = gpuGraphInstantiate(&executable_, recording.graph);
  gpuGraphDestroy(recording.graph);
  stream.check(error, "making it executable (--graph-memory-budget limits captures)");
  try {
    stream.check(gpuGraphUpload(executable_, stream.handle()), "its upload");
  } catch (...) {
    gpuGraphExecDestroy(executable_);
    throw;
  }
  stream.name_next("");
  const size_t free_after = free_device_bytes();
  bytes_ = free_before > free_after ? free_before - free_after : 0;
}

GpuGraph::~GpuGraph() {
  gpuGraphExecDestroy(executable_);
}

void GpuGraph::replay(Stream& stream) {
  GpuStream& own = gpu_stream(stream);
  own.name_next(name_);
  own.forbid_in_capture("a replay");
  own.check(gpuGraphLaunch(executable_, own.handle()), "its replay");
}

}  // namespace musaic
