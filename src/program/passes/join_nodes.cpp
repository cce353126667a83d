#include "program/passes/join_nodes.h"

#include <fmt/format.h>

#include <map>
#include <set>

namespace musaic {
namespace {

bool is_supported(const Graph& graph, const Target& target, const JoinRule& rule, const Node& first,
                  const Node& second) {
  std::vector<const Meta*> metas;
  for (ValueId id : rule.inputs(first, second))
    metas.push_back(id == kNoValue ? nullptr : &graph.values[id].meta);
  return supports(target, rule.joined, metas, second.attributes);
}

// First nodes by the index of the second.
std::map<int, int> find_pairs(const Graph& graph, const Target& target, const JoinRule& rule,
                              PassReport& report) {
  const Uses uses(graph);
  std::map<int, int> pairs;
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    if (graph.nodes[i].op != rule.second) continue;
    const int first = rule.first_of(graph, uses, i);
    if (first < 0) {
      report.leave(i, rule.no_first);
    } else if (!is_supported(graph, target, rule, graph.nodes[first], graph.nodes[i])) {
      report.leave(i, missing_op(target, rule.joined) + " for these sizes");
    } else {
      pairs.emplace(i, first);
    }
  }
  return pairs;
}

void add_joined(Rewriter& rewriter, const JoinRule& rule, const Node& first, const Node& second) {
  std::vector<Value> values;
  for (ValueId id : rule.inputs(first, second)) values.push_back(rewriter.map(id));
  const auto results = rewriter.builder().call(rule.joined, values, second.attributes);
  const size_t outputs = second.outputs.size();
  for (size_t i = 0; i < outputs; ++i) rewriter.replace(second.outputs[i], results[i]);
  for (size_t i = 0; i < second.mutations.size(); ++i)
    rewriter.replace(second.mutations[i].version, results[outputs + i]);
}

}  // namespace

Graph join_nodes(const Graph& graph, const Target& target, const JoinRule& rule, PassReport& report) {
  if (!has_kernels(target, rule.joined)) return graph;
  const std::map<int, int> pairs = find_pairs(graph, target, rule, report);
  std::set<int> firsts;
  for (const auto& [second, first] : pairs) firsts.insert(first);
  Rewriter rewriter(target.registry, graph);
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const auto pair = pairs.find(i);
    if (pair != pairs.end()) {
      add_joined(rewriter, rule, graph.nodes[pair->second], graph.nodes[i]);
      report.did(i, fmt::format("{} + {} → {}", rule.first, rule.second, rule.joined));
    } else if (!firsts.contains(i)) {
      rewriter.copy(graph.nodes[i]);
    }
  }
  return rewriter.finish();
}

}  // namespace musaic
