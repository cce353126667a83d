#include "backends/gpu/gpu_executables.h"

#include <chrono>

#include "backends/gpu/gpu_graph.h"
#include "base/log.h"
#include "base/status.h"

namespace musaic {

void GpuExecutables::add(GpuGraph& graph) {
  ++num_graphs_;
  if (has_budget() && num_live_ >= budget_) return;
  const gpuError_t error = make(graph);
  if (error == gpuSuccess) return;
  if (has_budget() && is_full(error)) return lower_budget();
  --num_graphs_;
  stream_.check(error,
                "making it executable (--graph-executable-budget and --graph-memory-budget limit that)");
}

void GpuExecutables::remove(GpuGraph& graph) {
  if (graph.executable_ != nullptr) end(graph);
  --num_graphs_;
}

void GpuExecutables::use(GpuGraph& graph) {
  if (graph.executable_ == nullptr) {
    const auto start = std::chrono::steady_clock::now();
    rotate(graph);
    ++rotations_;
    rotation_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  } else if (has_budget()) {
    live_.splice(live_.end(), live_, graph.place_);
  }
  graph.last_launch_ = stream_.count_launch();
}

// REQUIRES: the graph has none.
gpuError_t GpuExecutables::make(GpuGraph& graph) {
  gpuError_t error = gpuGraphInstantiate(&graph.executable_, graph.recording_);
  if (error == gpuSuccess) {
    error = gpuGraphUpload(graph.executable_, stream_.handle());
    if (error != gpuSuccess) gpuGraphExecDestroy(graph.executable_);
  }
  if (error != gpuSuccess) {
    graph.executable_ = nullptr;
    return error;
  }
  graph.place_ = live_.insert(live_.end(), &graph);
  ++num_live_;
  ++num_made_;
  return gpuSuccess;
}

void GpuExecutables::wait_for(const GpuGraph& graph) {
  if (stream_.has_ended(graph.last_launch_)) return;
  try {
    stream_.wait();
  } catch (const LoadError&) {  // the next call tells
  }
}

void GpuExecutables::end(GpuGraph& graph) {
  if (has_budget()) wait_for(graph);
  gpuGraphExecDestroy(graph.executable_);
  graph.executable_ = nullptr;
  live_.erase(graph.place_);
  --num_live_;
}

bool GpuExecutables::rewrite(GpuGraph& from, GpuGraph& to) {
  if (from.num_launches_ != to.num_launches_) return false;
  if (gpuGraphExecUpdate(from.executable_, to.recording_) != gpuSuccess) {
    gpuGetLastError();
    return false;
  }
  to.executable_ = from.executable_;
  to.place_ = from.place_;
  *to.place_ = &to;
  live_.splice(live_.end(), live_, to.place_);
  from.executable_ = nullptr;
  return true;
}

bool GpuExecutables::is_full(gpuError_t error) const {
  return error == gpuErrorMemoryAllocation && num_live_ > 0;
}

void GpuExecutables::lower_budget() {
  gpuGetLastError();
  budget_ = num_live_.load();
  spdlog::warn("{}: the driver allows no more than {} live executables of graphs; they take turns",
               stream_.device(), budget_.load());
}

// Of the half that was used longest ago, which the next launches hardly need, the first that the driver can
// rewrite; the oldest where there is none. REQUIRES: some are live.
GpuGraph& GpuExecutables::choose_giver(const GpuGraph& graph) const {
  int old = (num_live_ + 1) / 2;
  for (GpuGraph* giver : live_) {
    if (old-- == 0) break;
    if (giver->num_launches_ == graph.num_launches_) return *giver;
  }
  return *live_.front();
}

void GpuExecutables::rotate(GpuGraph& graph) {
  if (num_live_ >= budget_) {
    GpuGraph& giver = choose_giver(graph);
    if (rewrite(giver, graph)) return;
    end(giver);
  }
  gpuError_t error = make(graph);
  if (is_full(error)) {
    lower_budget();
    end(*live_.front());
    error = make(graph);
  }
  stream_.check(error, "making it executable");
}

GraphExecutables GpuExecutables::totals() const {
  return {.budget = budget_,
          .graphs = num_graphs_,
          .live = num_live_,
          .rotations = rotations_,
          .rotation_seconds = rotation_seconds_};
}

}  // namespace musaic
