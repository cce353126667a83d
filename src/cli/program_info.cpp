#include "cli/program_info.h"

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
          {"kernels", kernels_of(program)},
          {"trace_milliseconds", graph.trace_milliseconds},
          {"passes", describe_passes(graph)},
          {"buckets", std::move(buckets)}};
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
            {"io_bytes", memory.io_bytes}}},
          {"num_buckets", runner.num_buckets()}};
}

}  // namespace musaic
