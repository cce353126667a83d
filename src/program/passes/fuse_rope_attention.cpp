#include <fmt/format.h>

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kWrite = "musaic::rope_kv_write";
constexpr const char* kAttention = "musaic::paged_attention";
constexpr const char* kFused = "musaic::rope_attention";

// Right behind the write stands attention to what it has written, by rows that are the sequences.
bool is_pair(const Graph& graph, const Uses& uses, int first, PassReport& report) {
  if (first + 1 >= static_cast<int>(graph.nodes.size())) return false;
  const Node& write = graph.nodes[first];
  const Node& attention = graph.nodes[first + 1];
  if (write.op != kWrite || attention.op != kAttention) return false;
  const ValueId query = write.mutations[0].version;
  if (attention.inputs[0] != query || attention.inputs[1] != write.mutations[1].version ||
      attention.inputs[2] != write.mutations[2].version)
    return false;
  if (graph.values[attention.inputs[4]].meta.dim(0) != graph.values[query].meta.dim(0)) {
    report.leave(first, "a sequence may have several rows");
    return false;
  }
  if (!uses.only_used_by(query, first + 1)) {
    report.leave(first, "the rotated query is read elsewhere too");
    return false;
  }
  return true;
}

std::vector<ValueId> inputs_of(const Node& write, const Node& attention) {
  std::vector<ValueId> inputs(write.inputs.begin(), write.inputs.begin() + 7);
  inputs.insert(inputs.end(), attention.inputs.begin() + 3, attention.inputs.begin() + 7);
  return inputs;
}

Attributes attributes_of(const Node& write, const Node& attention) {
  Attributes attributes = attention.attributes;
  attributes.set("interleaved", write.attributes.get_bool("interleaved"));
  return attributes;
}

// The op rotates whole heads.
bool is_supported(const Graph& graph, const Target& target, const Node& write, const Node& attention) {
  std::vector<const Meta*> metas;
  for (ValueId id : inputs_of(write, attention)) metas.push_back(&graph.values[id].meta);
  const bool rotates_all = metas[3]->dim(1) == metas[5]->dim(3);
  return rotates_all && supports(target, kFused, metas, attributes_of(write, attention));
}

}  // namespace

Graph fuse_rope_attention(const Graph& graph, const Target& target, PassReport& report) {
  if (!has_kernels(target, kFused)) return graph;
  const Uses uses(graph);
  Rewriter rewriter(target.registry, graph);
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    if (!is_pair(graph, uses, i, report)) {
      rewriter.copy(graph.nodes[i]);
      continue;
    }
    const Node& write = graph.nodes[i];
    const Node& attention = graph.nodes[i + 1];
    if (!is_supported(graph, target, write, attention)) {
      report.leave(i, missing_op(target, kFused) + " for these types");
      rewriter.copy(write);
      continue;
    }
    std::vector<Value> inputs;
    for (ValueId id : inputs_of(write, attention)) inputs.push_back(rewriter.map(id));
    const auto results = rewriter.builder().call(kFused, inputs, attributes_of(write, attention));
    rewriter.replace(attention.outputs[0], results[0]);
    rewriter.replace(write.mutations[1].version, results[1]);
    rewriter.replace(write.mutations[2].version, results[2]);
    report.did(i, fmt::format("{} + {} → {}", kWrite, kAttention, kFused));
    ++i;
  }
  return rewriter.finish();
}

}  // namespace musaic
