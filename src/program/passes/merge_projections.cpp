#include <fmt/format.h>

#include <map>
#include <tuple>

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr int64_t kScaleBlock = 128;  // rows of an FP8 weight that share a row of scales

// Where an op that multiplies by a weight has it; its scales, if any, and its bias follow, and what comes
// before is its input.
int weight_argument(const Node& node) {
  if (node.op == "aten::linear") return 1;
  if (node.op == "musaic::linear_fp8") return 2;
  if (node.op == "musaic::linear_q8") return 3;
  return -1;
}

bool has_scales(const Node& node) {
  return node.op == "musaic::linear_fp8";
}

// Linears of one input whose weights may be stacked, in order.
struct Group {
  std::vector<int> nodes;
  std::vector<int64_t> outs;  // columns of each
};

class ProjectionMerger {
 public:
  ProjectionMerger(const Graph& graph, const Target& target, PassReport& report)
      : graph_(graph), target_(target), report_(report), uses_(graph), rewriter_(target.registry, graph) {}

  Graph run() {
    const std::map<int, Group> groups = find_groups();
    std::vector<bool> done(graph_.nodes.size(), false);
    for (int i = 0; i < static_cast<int>(graph_.nodes.size()); ++i) {
      if (done[i]) continue;
      const auto group = groups.find(i);
      if (group == groups.end()) {
        rewriter_.copy(graph_.nodes[i]);
        continue;
      }
      merge(group->second);
      for (int node : group->second.nodes) done[node] = true;
    }
    return rewriter_.finish();
  }

 private:
  const GraphValue& value(ValueId id) const { return graph_.values[id]; }

  // By the first node's index.
  std::map<int, Group> find_groups() {
    using Key = std::tuple<std::vector<ValueId>, DType, int>;  // inputs, weight, bias (-1: none)
    std::map<Key, std::vector<int>> candidates;
    std::map<std::vector<ValueId>, int> first_of_input;
    for (int i = 0; i < static_cast<int>(graph_.nodes.size()); ++i) {
      const Node& node = graph_.nodes[i];
      const int weight = weight_argument(node);
      if (weight < 0 || !owns_weights(node, weight)) continue;
      const std::vector<ValueId> inputs(node.inputs.begin(), node.inputs.begin() + weight);
      const ValueId bias = node.inputs.back();
      const Key key{inputs, value(node.inputs[weight]).meta.dtype,
                    bias == kNoValue ? -1 : static_cast<int>(value(bias).meta.dtype)};
      candidates[key].push_back(i);
      const auto [first, is_new] = first_of_input.emplace(inputs, i);
      if (!is_new && candidates[key].front() != first->second)
        report_.leave(i, "its weight or bias has another type than those of the same input");
    }
    std::map<int, Group> groups;
    for (const auto& [key, nodes] : candidates) {
      if (nodes.size() > 1) add_group(nodes, groups);
    }
    return groups;
  }

  // Weight and bias are read by this node alone: a merged copy takes no more memory.
  bool owns_weights(const Node& node, int weight) const {
    for (size_t i = static_cast<size_t>(weight); i < node.inputs.size(); ++i) {
      const ValueId id = node.inputs[i];
      if (id != kNoValue && (value(id).kind != ValueKind::kWeight || uses_.of(id).size() != 1)) return false;
    }
    return true;
  }

  void add_group(const std::vector<int>& nodes, std::map<int, Group>& groups) {
    Group group{nodes, {}};
    int64_t width = 0;
    for (int i : nodes) {
      const Node& node = graph_.nodes[i];
      if (uses_.is_output(value(node.outputs[0]).storage))
        return report_.leave(i, "its result is an output of the graph");
      group.outs.push_back(value(node.outputs[0]).meta.dim(1).constant());
      if (has_scales(node) && width % kScaleBlock != 0)
        return report_.leave(i, "the rows of the weight before it end inside a block of scales");
      width += group.outs.back();
    }
    if (!merged_is_supported(nodes))
      return report_.leave(nodes[0],
                           missing_op(target_, graph_.nodes[nodes[0]].op) + " for the merged weight");
    for (int i : nodes) {
      const ValueId result = graph_.nodes[i].outputs[0];
      Meta column = value(result).meta;
      column.strides[0] = width;
      if (!readers_accept(result, column))
        return report_.leave(i, "a reader of its result needs the rows next to each other");
    }
    groups.emplace(nodes[0], std::move(group));
  }

  // Of what lies one below the other at one argument.
  DimShape stacked_shape(const std::vector<int>& nodes, int argument) const {
    DimShape shape = value(graph_.nodes[nodes[0]].inputs[argument]).meta.shape;
    shape[0] = 0;
    for (int i : nodes) shape[0] = shape[0] + value(graph_.nodes[i].inputs[argument]).meta.shape[0];
    return shape;
  }

  bool merged_is_supported(const std::vector<int>& nodes) const {
    const Node& node = graph_.nodes[nodes[0]];
    std::vector<Meta> metas;
    std::vector<const Meta*> pointers;
    const int weight = weight_argument(node);
    for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
      if (node.inputs[i] == kNoValue) break;  // the bias comes last
      const Meta& meta = value(node.inputs[i]).meta;
      metas.push_back(i < weight ? meta : Meta::contiguous(meta.dtype, stacked_shape(nodes, i), meta.device));
    }
    for (const Meta& meta : metas) pointers.push_back(&meta);
    return supports(target_, node.op, pointers, node.attributes);
  }

  // Whether everything that reads the value, or a view or version of it, can do so with these strides.
  bool readers_accept(ValueId id, const Meta& meta) const {
    for (int user : uses_.of(id)) {
      if (user >= static_cast<int>(graph_.nodes.size()) || !reader_accepts(graph_.nodes[user], id, meta))
        return false;
    }
    return true;
  }

  bool reader_accepts(const Node& node, ValueId id, const Meta& meta) const {
    const OpDef& op = target_.registry.get(node.op);
    std::vector<const Meta*> inputs;
    for (ValueId input : node.inputs)
      inputs.push_back(input == kNoValue ? nullptr : input == id ? &meta : &value(input).meta);
    std::vector<FakeOutput> fakes;
    try {
      fakes = op.fake({op.schema, inputs, node.attributes});
    } catch (const LoadError&) {
      return false;
    }
    if (op.is_view) return readers_accept(node.outputs[0], fakes[0].meta);
    std::vector<const Meta*> outputs;
    for (const FakeOutput& fake : fakes) outputs.push_back(&fake.meta);
    if (target_.registry.find_kernel(op, target_.device.type,
                                     {inputs, outputs, node.attributes, target_.capabilities}) == nullptr)
      return false;
    for (const Mutation& mutation : node.mutations) {
      if (node.inputs[mutation.input] == id && !readers_accept(mutation.version, meta)) return false;
    }
    return true;
  }

  // The weights, scales or biases at one argument, stacked.
  Value stack(const Group& group, int argument) {
    const ValueId first = graph_.nodes[group.nodes[0]].inputs[argument];
    if (first == kNoValue) return {};
    std::vector<std::string> parts;
    for (int i : group.nodes) {
      const GraphValue& part = value(graph_.nodes[i].inputs[argument]);
      parts.insert(parts.end(), part.weight_parts.begin(), part.weight_parts.end());
    }
    return rewriter_.builder().weight(std::move(parts), value(first).meta.dtype,
                                      stacked_shape(group.nodes, argument));
  }

  void merge(const Group& group) {
    const Node& first = graph_.nodes[group.nodes[0]];
    const int weight = weight_argument(first);
    std::vector<Value> inputs;
    for (int i = 0; i < static_cast<int>(first.inputs.size()); ++i)
      inputs.push_back(i < weight ? rewriter_.map(first.inputs[i]) : stack(group, i));
    const Value all = rewriter_.builder().call(first.op, inputs, first.attributes)[0];
    int64_t begin = 0;
    for (size_t i = 0; i < group.nodes.size(); ++i) {
      const Attributes columns = {{"dim", int64_t{1}}, {"start", begin}, {"end", begin + group.outs[i]}};
      rewriter_.replace(graph_.nodes[group.nodes[i]].outputs[0],
                        rewriter_.builder().call("aten::slice", {all}, columns)[0]);
      begin += group.outs[i];
    }
    report_.did(group.nodes[0], fmt::format("{} times {} of one input → one", group.nodes.size(), first.op));
  }

  const Graph& graph_;
  const Target& target_;
  PassReport& report_;
  Uses uses_;
  Rewriter rewriter_;
};

}  // namespace

Graph merge_projections(const Graph& graph, const Target& target, PassReport& report) {
  return ProjectionMerger(graph, target, report).run();
}

}  // namespace musaic
