#include "ops/experts_fp8/experts_fp8.h"
#include "program/passes/join_nodes.h"

namespace musaic {
namespace {

using namespace experts_down;

constexpr const char* kGateUp = "musaic::experts_gate_up_fp8";
constexpr const char* kDown = "musaic::experts_down_fp8";

// The gate and up of whose rows, all four, the down is made and nothing else; -1: there is none.
int gate_up_of(const Graph& graph, const Uses& uses, int down) {
  const std::vector<ValueId>& inputs = graph.nodes[down].inputs;
  const int gate_up = uses.sole_maker(inputs[kQ], kGateUp, down);
  if (gate_up < 0) return -1;
  const std::vector<ValueId> rows = {inputs[kQ], inputs[kScale], inputs[kSharedQ], inputs[kSharedRowScale]};
  if (graph.nodes[gate_up].outputs != rows) return -1;
  for (ValueId id : rows) {
    if (!uses.only_used_by(id, down)) return -1;
  }
  return gate_up;
}

// Those of gate and up, and down's weights.
std::vector<ValueId> joined_inputs(const Node& gate_up, const Node& down) {
  std::vector<ValueId> inputs = gate_up.inputs;
  for (int input : {kWeight, kWeightScale, kShared, kSharedScale}) inputs.push_back(down.inputs[input]);
  return inputs;
}

constexpr JoinRule kRule = {.first = kGateUp,
                            .second = kDown,
                            .joined = "musaic::experts_fp8",
                            .first_of = gate_up_of,
                            .no_first = "its rows are not made, or not read, by one node",
                            .inputs = joined_inputs};

}  // namespace

Graph join_experts(const Graph& graph, const Target& target, PassReport& report) {
  return join_nodes(graph, target, kRule, report);
}

}  // namespace musaic
