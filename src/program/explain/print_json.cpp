#include "program/explain/printers.h"
#include "program/explain/summary.h"

namespace musaic {
namespace {

Json to_json(const Work& work) {
  return {{"bytes", work.bytes()},           {"weight_bytes", work.weight_bytes},
          {"state_bytes", work.state_bytes}, {"float_ops", work.float_ops},
          {"int8_ops", work.int8_ops},       {"seconds", work.seconds}};
}

Json describe_nodes(const Explanation& e) {
  Json nodes = Json::array();
  for (const ExplainedNode& node : e.nodes) {
    Json one = {{"op", node.op},
                {"kernel", node.has_kernel ? Json(node.kernel) : Json(nullptr)},
                {"is_view", node.is_view},
                {"arguments", node.arguments},
                {"results", node.results},
                {"workspace_bytes", node.workspace_bytes},
                {"structure", node.structure}};
    one.update(to_json(node.work));
    nodes.push_back(std::move(one));
  }
  return nodes;
}

Json describe_segments(const Explanation& e) {
  Json segments = Json::array();
  for (const ExplainedSegment& segment : e.segments) {
    Json one = {{"kind", segment.is_break ? "break" : "piece"},
                {"begin", segment.begin},
                {"end", segment.end},
                {"structure", segment.is_break ? "break" : structure_letter(segment.structure)},
                {"launches", segment.launches}};
    if (segment.is_break) one["reason"] = segment.reason;
    if (segment.is_break) one["recorded"] = segment.is_recorded;
    one.update(to_json(segment.work));
    segments.push_back(std::move(one));
  }
  return segments;
}

Json describe_memory(const MemoryMap& memory) {
  Json placements = Json::array();
  for (const Placement& placement : memory.placements) {
    placements.push_back({{"name", placement.name},
                          {"node", placement.node},
                          {"offset", placement.offset},
                          {"bytes", placement.bytes},
                          {"first", placement.first},
                          {"last", placement.last},
                          {"is_workspace", placement.is_workspace},
                          {"shares_with", placement.shares_with}});
  }
  return {{"arena_bytes", memory.arena_bytes},
          {"separate_bytes", memory.separate_bytes},
          {"peak_bytes", memory.peak_bytes()},
          {"peak_node", memory.peak_node},
          {"temporaries", std::move(placements)}};
}

Json describe_passes(const Explanation& e) {
  Json passes = Json::array();
  for (const PassReport& pass : e.passes) {
    passes.push_back({{"name", pass.name},
                      {"enabled", pass.enabled},
                      {"rewrites", pass.rewrites},
                      {"remarks", remarks(pass)}});
  }
  return passes;
}

Json describe_missing(const Explanation& e) {
  Json missing = Json::array();
  for (const MissingKernels& one : e.missing) {
    missing.push_back({{"op", one.op}, {"nodes", one.nodes}, {"has_decomposition", one.has_decomposition}});
  }
  return missing;
}

Json describe_roof(const Roof& roof) {
  return {{"name", roof.name},
          {"bytes_per_second", roof.bytes_per_second},
          {"float_ops_per_second", roof.float_ops_per_second},
          {"int8_ops_per_second", roof.int8_ops_per_second}};
}

}  // namespace

Json explanation_json(const Explanation& e) {
  Json json = {{"model", e.model},
               {"model_type", e.model_type},
               {"device", e.device},
               {"features", e.features},
               {"graph", e.graph},
               {"mode", e.mode},
               {"bucket", e.bucket},
               {"dimension", e.dimension},
               {"buckets", e.buckets},
               {"sequences", e.extent.sequences},
               {"past", e.extent.past},
               {"roof", describe_roof(e.roof)},
               {"total", to_json(e.total())},
               {"weight_bytes", e.weight_bytes},
               {"launches",
                {{"eager", e.num_launches()},
                 {"pieces", e.num_pieces()},
                 {"piece_structures", e.num_piece_structures()},
                 {"in_breaks", e.launches_in_breaks()},
                 {"saved", e.num_launches() - e.submissions()}}},
               {"executables",
                {{"needed", e.executables()},
                 {"budget", e.executable_budget == 0 ? Json() : Json(e.executable_budget)}}},
               {"segments", describe_segments(e)},
               {"nodes", describe_nodes(e)},
               {"memory", describe_memory(e.memory)},
               {"passes", describe_passes(e)},
               {"missing_kernels", describe_missing(e)}};
  if (e.captured) {
    json["captured"] = {{"buckets", e.captured->captured_buckets},
                        {"graph_bytes", e.captured->graph_bytes},
                        {"capture_seconds", e.captured->capture_seconds}};
  }
  return json;
}

}  // namespace musaic
