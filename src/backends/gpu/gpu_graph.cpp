#include "backends/gpu/gpu_graph.h"

#include <fmt/format.h>

#include "backends/gpu/gpu_executables.h"

namespace musaic {
namespace {

std::string name_of(const GpuRecording& recording, size_t launches) {
  return fmt::format("a piece of {} launches, {} to {}", launches, recording.first_op, recording.last_op);
}

}  // namespace

GpuGraph::GpuGraph(GpuRecording recording, GpuStream& stream, GpuExecutables& executables)
    : executables_(executables), recording_(recording.graph) {
  size_t launches = 0;
  gpuGraphGetNodeCount(recording_, &launches);
  num_launches_ = static_cast<int>(launches);
  name_ = name_of(recording, launches);
  stream.name_next(name_);
  try {
    executables_.add(*this);
  } catch (...) {
    gpuGraphDestroy(recording_);
    throw;
  }
  if (!executables_.has_budget()) {
    gpuGraphDestroy(recording_);
    recording_ = nullptr;
  }
  stream.name_next("");
}

GpuGraph::~GpuGraph() {
  executables_.remove(*this);
  if (recording_ != nullptr) gpuGraphDestroy(recording_);
}

// A graph that waits for an executable takes none of the device's memory; those that take turns are counted
// as their budget is.
size_t GpuGraph::bytes() const {
  if (executable_ == nullptr) return 0;
  return executables_.has_budget() ? kExecutableBytes : bytes_of_executable(num_launches_);
}

void GpuGraph::replay(Stream& stream) {
  GpuStream& own = gpu_stream(stream);
  own.name_next(name_);
  own.forbid_in_capture("a replay");
  executables_.use(*this);
  own.check(gpuGraphLaunch(executable_, own.handle()), "its replay");
}

}  // namespace musaic
