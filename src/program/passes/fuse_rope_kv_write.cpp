#include <fmt/format.h>

#include <map>

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kFused = "musaic::rope_kv_write";

// rope_(query); rope_(key); kv_write(key', value): the three nodes by index.
struct Match {
  int query_rope;
  int key_rope;
  int kv_write;
};

bool same_rotation(const Node& a, const Node& b) {
  return a.op == "musaic::rope_" && b.op == "musaic::rope_" && a.inputs[1] == b.inputs[1] &&
         a.attributes == b.attributes;
}

// The three stand next to each other as layers trace them, and the roped key is read by the write alone.
std::map<int, Match> find_matches(const Graph& graph, PassReport& report) {
  const Uses uses(graph);
  std::map<int, Match> matches;  // by the first node's index
  for (int i = 2; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& query = graph.nodes[i - 2];
    const Node& key = graph.nodes[i - 1];
    const Node& write = graph.nodes[i];
    if (write.op != "musaic::kv_write") continue;
    if (!same_rotation(query, key) || write.inputs[0] != key.mutations[0].version) {
      report.leave(i, "the rotations of query and key are not right before the write");
    } else if (!uses.only_used_by(write.inputs[0], i)) {
      report.leave(i, "the rotated key is read elsewhere too");
    } else {
      matches.emplace(i - 2, Match{i - 2, i - 1, i});
    }
  }
  return matches;
}

}  // namespace

Graph fuse_rope_kv_write(const Graph& graph, const Target& target, PassReport& report) {
  const auto matches = find_matches(graph, report);
  Rewriter rewriter(target.registry, graph);
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const auto match = matches.find(i);
    if (match == matches.end()) {
      rewriter.copy(graph.nodes[i]);
      continue;
    }
    const Node& query = graph.nodes[match->second.query_rope];
    const Node& key = graph.nodes[match->second.key_rope];
    const Node& write = graph.nodes[match->second.kv_write];
    std::vector<Value> inputs;
    for (ValueId id : {query.inputs[0], key.inputs[0], write.inputs[1], query.inputs[1], write.inputs[2],
                       write.inputs[3], write.inputs[4]}) {
      inputs.push_back(rewriter.map(id));
    }
    if (!supports(target, kFused, inputs, query.attributes)) {
      report.leave(i, missing_op(target, kFused) + " for these types");
      rewriter.copy(query);
      continue;
    }
    const auto results = rewriter.builder().call(kFused, inputs, query.attributes);
    rewriter.replace(query.mutations[0].version, results[0]);
    rewriter.replace(write.mutations[0].version, results[1]);
    rewriter.replace(write.mutations[1].version, results[2]);
    report.did(i, fmt::format("{} of query and key + {} → {}", query.op, write.op, kFused));
    i += 2;
  }
  return rewriter.finish();
}

}  // namespace musaic
