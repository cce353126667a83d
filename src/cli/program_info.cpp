#include "cli/program_info.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>

namespace musaic {
namespace {

Json describe_notes(const std::vector<PassNote>& notes) {
  Json described = Json::array();
  for (const PassNote& note : notes) described.push_back(to_string(note));
  return described;
}

Json describe_passes(const ModelGraph& graph) {
  Json passes = Json::array();
  for (const PassReport& report : graph.passes) {
    passes.push_back({{"name", report.name},
                      {"enabled", report.enabled},
                      {"rewrites", report.rewrites},
                      {"milliseconds", report.milliseconds},
                      {"verify_milliseconds", report.verify_milliseconds},
                      {"done", describe_notes(report.done)},
                      {"left", describe_notes(report.left)}});
  }
  return passes;
}

// The kernels that the buckets of a program use, by op.
std::map<std::string, std::set<std::string>> kernels_of(const Program& program) {
  std::map<std::string, std::set<std::string>> kernels;
  for (const int size : program.bucket_sizes()) {
    for (const PlannedNode& planned : program.plan(size).nodes)
      kernels[program.graph().nodes[planned.node].op].insert(planned.kernel->name);
  }
  return kernels;
}

Json describe_program(const ModelGraph& graph, const Program& program) {
  Json buckets = Json::array();
  for (int size : program.bucket_sizes()) {
    buckets.push_back({{"size", size}, {"arena_bytes", program.plan(size).arena_bytes}});
  }
  return {{"graph", graph.graph.name},
          {"nodes", graph.graph.nodes.size()},
          {"pieces", program.num_pieces()},
          {"breaks", program.segments().size() - static_cast<size_t>(program.num_pieces())},
          {"launches_a_replay", program.launch_units().size()},
          {"kernels", kernels_of(program)},
          {"trace_milliseconds", graph.trace_milliseconds},
          {"passes", describe_passes(graph)},
          {"buckets", std::move(buckets)}};
}

Json names_of(const std::vector<BucketStatus>& buckets, BucketState state) {
  Json names = Json::array();
  for (const BucketStatus& bucket : buckets) {
    if (bucket.state == state) names.push_back({{"graph", bucket.graph}, {"size", bucket.size}});
  }
  return names;
}

// JSON has no infinity.
Json finite(double number) {
  return std::isfinite(number) ? Json(number) : Json("inf");
}

Json describe_verifier(const GraphVerifier& verifier) {
  Json findings = Json::array();
  for (const VerifyFinding& finding : verifier.findings()) {
    Json pieces = Json::array();
    for (const VerifyFinding::Piece& piece : finding.pieces) {
      pieces.push_back({{"piece", piece.name},
                        {"value", piece.difference.value},
                        {"largest_difference", finite(piece.difference.largest)}});
    }
    findings.push_back({{"graph", finding.graph},
                        {"bucket", finding.bucket},
                        {"step", finding.step},
                        {"written_outside", finding.stray},
                        {"value", finding.whole.value},
                        {"largest_difference", finite(finding.whole.largest)},
                        {"pieces", std::move(pieces)}});
  }
  return {{"share", verifier.share()},
          {"tolerance", verifier.tolerance()},
          {"verified_steps", verifier.num_verified_steps()},
          {"differences", std::move(findings)}};
}

}  // namespace

Json describe_programs(const GraphRunner& runner) {
  const ModelGraphs& graphs = runner.graphs();
  const GraphRunner::Memory memory = runner.memory();
  return {{"programs",
           {describe_program(graphs.extend, runner.extend()),
            describe_program(graphs.decode, runner.decode()), describe_program(graphs.head, runner.head())}},
          {"memory",
           {{"weight_bytes", memory.weight_bytes},
            {"mapped_weight_bytes", memory.mapped_weight_bytes},
            {"kv_bytes_reserved", memory.kv_bytes},
            {"arena_bytes", memory.arena_bytes},
            {"io_bytes", memory.io_bytes}}}};
}

Json describe_captures(const GraphRunner& runner) {
  const CaptureSchedule::Totals totals = runner.captures().totals();
  const std::vector<BucketStatus> buckets = runner.captures().list();
  std::map<std::string_view, int> states;
  for (BucketState state :
       {BucketState::kWaiting, BucketState::kCaptured, BucketState::kOverBudget, BucketState::kQuarantined}) {
    states[name(state)] =
        static_cast<int>(std::count_if(buckets.begin(), buckets.end(), [state](const BucketStatus& bucket) {
          return bucket.state == state;
        }));
  }
  const size_t budget = runner.options().graph_memory_budget;
  const std::optional<size_t> measured = runner.measured_graph_bytes();
  return {{"num_buckets", totals.buckets},
          {"num_captured", totals.captured},
          {"graph_bytes", totals.bytes},
          {"graph_bytes_measured", measured ? Json(*measured) : Json()},
          {"capture_seconds", totals.seconds},
          {"graph_memory_budget", budget == SIZE_MAX ? Json() : Json(budget)},
          {"bucket_states", states},
          {"over_memory_budget", names_of(buckets, BucketState::kOverBudget)},
          {"quarantined", names_of(buckets, BucketState::kQuarantined)},
          {"verify", describe_verifier(runner.verifier())}};
}

Json describe_executables(const GraphExecutables& executables) {
  return {{"budget", executables.budget == 0 ? Json() : Json(executables.budget)},
          {"graphs", executables.graphs},
          {"live", executables.live},
          {"rotations", executables.rotations},
          {"rotation_seconds", executables.rotation_seconds}};
}

Json describe_calls(const DeviceCalls& calls) {
  return {{"allocations", calls.allocations},
          {"executables", calls.executables},
          {"waits", calls.waits},
          {"reads", calls.reads}};
}

}  // namespace musaic
