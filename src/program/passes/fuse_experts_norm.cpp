#include "program/passes/join_nodes.h"

namespace musaic {
namespace {

constexpr const char* kExperts = "musaic::experts_fp8";
constexpr const char* kCombine = "musaic::moe_combine_norm_quant_fp8";

enum Combine { kX, kTokenRow, kWeights, kAddend, kResidual, kNormWeight };

// The experts whose results, both, are what is combined and nothing else; -1: there are none.
int experts_of(const Graph& graph, const Uses& uses, int combine) {
  const std::vector<ValueId>& inputs = graph.nodes[combine].inputs;
  const int experts = uses.sole_maker(inputs[kX], kExperts, combine);
  if (experts < 0 || inputs[kAddend] == kNoValue) return -1;
  if (graph.nodes[experts].outputs != std::vector<ValueId>{inputs[kX], inputs[kAddend]}) return -1;
  return uses.only_used_by(inputs[kX], combine) && uses.only_used_by(inputs[kAddend], combine) ? experts : -1;
}

std::vector<ValueId> fused_inputs(const Node& experts, const Node& combine) {
  std::vector<ValueId> inputs = experts.inputs;
  for (int input : {kTokenRow, kWeights, kResidual, kNormWeight}) inputs.push_back(combine.inputs[input]);
  return inputs;
}

constexpr JoinRule kRule = {.first = kExperts,
                            .second = kCombine,
                            .joined = "musaic::experts_norm_quant_fp8",
                            .first_of = experts_of,
                            .no_first = "what it combines is not made by one node, or read by others",
                            .inputs = fused_inputs};

}  // namespace

Graph fuse_experts_norm(const Graph& graph, const Target& target, PassReport& report) {
  return join_nodes(graph, target, kRule, report);
}

}  // namespace musaic
