#include <fmt/format.h>

#include <map>

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kSwiglu = "aten::_fused_swiglu_forward";
constexpr const char* kQuantizeQ8 = "musaic::quantize_q8";
constexpr const char* kGroupQuant = "sgl_kernel::sgl_per_token_group_quant_8bit_v2";
constexpr const char* kFusedQ8 = "musaic::swiglu_quantize_q8";
constexpr const char* kFuses = "fuse_silu_and_mul";

bool is_quantization(const Node& node) {
  return node.op == kQuantizeQ8 || (node.op == kGroupQuant && !node.attributes.get_bool(kFuses));
}

// By the quantization's index, the swiglu's that it alone reads.
std::map<int, int> find_matches(const Graph& graph, PassReport& report) {
  const Uses uses(graph);
  std::map<int, int> matches;
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    if (!is_quantization(graph.nodes[i])) continue;
    const ValueId product = graph.nodes[i].inputs[0];
    const int swiglu = graph.values[product].node;
    if (swiglu < 0 || graph.nodes[swiglu].op != kSwiglu) continue;
    if (!uses.only_used_by(product, i)) {
      report.leave(swiglu, "the product is read in float too");
    } else if (is_written_between(graph, graph.nodes[swiglu].inputs[0], swiglu, i)) {
      report.leave(swiglu, "its input is overwritten before the quantization");
    } else {
      matches.emplace(i, swiglu);
    }
  }
  return matches;
}

// The fused call in place of a quantization.
struct FusedCall {
  std::string op;
  std::vector<Value> inputs;
  Attributes attributes;
};

FusedCall fused_call(const Node& quantization, Value x, const Rewriter& rewriter) {
  if (quantization.op == kQuantizeQ8) return {kFusedQ8, {x}, {}};
  FusedCall call{quantization.op, {x}, quantization.attributes};
  call.attributes.set(kFuses, true);
  for (size_t i = 1; i < quantization.inputs.size(); ++i)
    call.inputs.push_back(rewriter.map(quantization.inputs[i]));
  return call;
}

}  // namespace

// The swiglu loses its last reader; remove_dead_code takes it away.
Graph fuse_swiglu_quantize(const Graph& graph, const Target& target, PassReport& report) {
  const auto matches = find_matches(graph, report);
  Rewriter rewriter(target.registry, graph);
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& node = graph.nodes[i];
    const auto match = matches.find(i);
    if (match == matches.end()) {
      rewriter.copy(node);
      continue;
    }
    const FusedCall call = fused_call(node, rewriter.map(graph.nodes[match->second].inputs[0]), rewriter);
    if (!supports(target, call.op, call.inputs, call.attributes)) {
      report.leave(i, missing_op(target, call.op));
      rewriter.copy(node);
      continue;
    }
    const auto results = rewriter.builder().call(call.op, call.inputs, call.attributes);
    size_t next = 0;
    for (ValueId id : node.outputs) rewriter.replace(id, results[next++]);
    for (const Mutation& mutation : node.mutations) rewriter.replace(mutation.version, results[next++]);
    report.did(i, fmt::format("{} + {} → {}", kSwiglu, node.op,
                              node.op == kQuantizeQ8 ? kFusedQ8 : "the same with fuse_silu_and_mul"));
  }
  return rewriter.finish();
}

}  // namespace musaic
