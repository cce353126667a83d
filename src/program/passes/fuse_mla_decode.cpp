#include <fmt/format.h>

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kWrite = "musaic::norm_latent_write";
constexpr const char* kAbsorb = "musaic::mla_absorb_query";
constexpr const char* kAttention = "musaic::mla_absorbed_values_fp8";
constexpr const char* kFused = "musaic::mla_decode_attention_fp8";
constexpr size_t kQueryStart = 2, kKvLengths = 3, kKvB = 6;  // of attention

// Right behind the write the query goes through kv_b, and right behind that stands attention to what is
// cached then; nobody else reads the query.
bool is_triple(const Graph& graph, const Uses& uses, int first) {
  if (first + 2 >= static_cast<int>(graph.nodes.size())) return false;
  const Node& write = graph.nodes[first];
  const Node& absorb = graph.nodes[first + 1];
  const Node& attention = graph.nodes[first + 2];
  if (write.op != kWrite || absorb.op != kAbsorb || attention.op != kAttention) return false;
  const ValueId query = write.mutations[0].version, absorbed = absorb.outputs[0];
  return absorb.inputs[0] == query && uses.only_used_by(query, first + 1) &&
         attention.inputs[0] == absorbed && uses.only_used_by(absorbed, first + 2) &&
         attention.inputs[1] == write.mutations[1].version;
}

bool has_one_row_a_sequence(const Graph& graph, const Node& write, const Node& attention) {
  return graph.values[attention.inputs[kKvLengths]].meta.dim(0) == graph.values[write.inputs[0]].meta.dim(0);
}

std::vector<ValueId> inputs_of(const Node& write, const Node& attention) {
  std::vector<ValueId> inputs = write.inputs;
  inputs.insert(inputs.end(), attention.inputs.begin() + kQueryStart, attention.inputs.end());
  return inputs;
}

Attributes attributes_of(const Node& write, const Node& attention) {
  Attributes attributes = write.attributes;
  for (const char* name : {"num_heads", "v_head_dim"})
    attributes.set(name, attention.attributes.get_int(name));
  attributes.set("scale", attention.attributes.get_float("scale"));
  return attributes;
}

// Why the nodes stay apart; empty where they need not.
std::string obstacle(const Graph& graph, const Target& target, int first) {
  const Node& write = graph.nodes[first];
  const Node& absorb = graph.nodes[first + 1];
  const Node& attention = graph.nodes[first + 2];
  if (!has_one_row_a_sequence(graph, write, attention)) return "a sequence may have several rows";
  if (absorb.inputs[1] != attention.inputs[kKvB]) return "query and values go through different weights";
  std::vector<const Meta*> metas;
  for (ValueId id : inputs_of(write, attention))
    metas.push_back(id == kNoValue ? nullptr : &graph.values[id].meta);
  const bool fits = supports(target, kFused, metas, attributes_of(write, attention));
  return fits ? "" : missing_op(target, kFused) + " for these sizes";
}

}  // namespace

Graph fuse_mla_decode(const Graph& graph, const Target& target, PassReport& report) {
  if (!has_kernels(target, kFused)) return graph;
  const Uses uses(graph);
  Rewriter rewriter(target.registry, graph);
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& write = graph.nodes[i];
    if (!is_triple(graph, uses, i)) {
      rewriter.copy(write);
      continue;
    }
    if (const std::string why = obstacle(graph, target, i); !why.empty()) {
      report.leave(i, why);
      rewriter.copy(write);
      continue;
    }
    const Node& attention = graph.nodes[i + 2];
    std::vector<Value> inputs;
    for (ValueId id : inputs_of(write, attention)) inputs.push_back(rewriter.map(id));
    const auto results = rewriter.builder().call(kFused, inputs, attributes_of(write, attention));
    rewriter.replace(attention.outputs[0], results[0]);
    rewriter.replace(attention.outputs[1], results[1]);
    rewriter.replace(write.mutations[1].version, results[2]);
    report.did(i, fmt::format("{} + {} + {} → {}", kWrite, kAbsorb, kAttention, kFused));
    i += 2;
  }
  return rewriter.finish();
}

}  // namespace musaic
