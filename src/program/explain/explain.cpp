#include "program/explain/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "ir/cost.h"
#include "program/explain/memory_map.h"
#include "program/structure.h"

namespace musaic {
namespace {

Shape bound_shape(const DimShape& shape, const DimBindings& bindings) {
  std::vector<int64_t> dims;
  for (const Dim& dim : shape) dims.push_back(dim.evaluate(bindings));
  return Shape(dims);
}

std::string describe(const Meta& meta, const DimBindings& bindings) {
  return fmt::format("{}{}", name(meta.dtype), to_string(bound_shape(meta.shape, bindings)));
}

std::string describe(const Graph& graph, ValueId id, const DimBindings& bindings) {
  if (id == kNoValue) return "None";
  const GraphValue& value = graph.values[id];
  return fmt::format("{}{}: {}", value.kind == ValueKind::kNode ? "%" : "@", value.name,
                     describe(value.meta, bindings));
}

CostTensor cost_tensor(const Graph& graph, ValueId id, const DimBindings& bindings) {
  if (id == kNoValue) return {};
  const Meta& meta = graph.values[id].meta;
  return {.present = true, .dtype = meta.dtype, .shape = bound_shape(meta.shape, bindings)};
}

double bytes_of(const CostTensor& tensor, double values) {
  if (!tensor.present) return 0.0;
  const DTypeInfo& info = dtype_info(tensor.dtype);
  return values * info.block_bytes / info.block_elements;
}

// What the packed copy takes for each byte of the file's layout, for the argument that the kernel repacks.
double packing_ratio(const Kernel* kernel, int input, const CostTensor& tensor) {
  const bool packed = kernel != nullptr && kernel->packing && kernel->packing->input == input;
  if (!packed || tensor.shape.elements() == 0) return 1.0;
  const size_t packed_bytes = kernel->packing->bytes(tensor.shape[0], tensor.shape[1]);
  return static_cast<double>(packed_bytes) / bytes_of(tensor, tensor.elements());
}

class Explainer {
 public:
  explicit Explainer(const ExplainInput& input) : in_(input) {
    for (const PlannedNode& planned : in_.plan.nodes) planned_[planned.node] = &planned;
  }

  Explanation run() {
    Explanation out;
    out.device = to_string(in_.target.device);
    out.features.assign(in_.target.capabilities.features.begin(), in_.target.capabilities.features.end());
    out.graph = in_.graph.name;
    out.extent = in_.extent;
    out.roof = in_.roof;
    out.executable_budget = in_.roof.graph_executables;
    out.passes.assign(in_.passes.begin(), in_.passes.end());
    out.nodes = explain_nodes();
    out.segments = explain_segments(out.nodes);
    out.folded_segments = fold_segments(out.segments);
    out.memory = map_memory(in_.graph, in_.plan);
    out.weight_bytes = weight_bytes();
    out.missing = missing_kernels();
    return out;
  }

 private:
  const OpDef& op_of(const Node& node) const { return in_.target.registry.get(node.op); }

  const PlannedNode* planned(int node) const {
    const auto found = planned_.find(node);
    return found == planned_.end() ? nullptr : found->second;
  }

  std::vector<ExplainedNode> explain_nodes() const {
    std::vector<Segment> each;
    for (int i = 0; i < static_cast<int>(in_.graph.nodes.size()); ++i) each.push_back({false, i, i + 1});
    const std::vector<int> structures = structure_classes(in_.graph, each).class_of;
    std::vector<ExplainedNode> nodes;
    for (int i = 0; i < static_cast<int>(in_.graph.nodes.size()); ++i) {
      nodes.push_back(explain_node(i));
      nodes.back().structure = structures[i];
    }
    return nodes;
  }

  ExplainedNode explain_node(int index) const {
    const Node& node = in_.graph.nodes[index];
    const PlannedNode* plan = planned(index);
    ExplainedNode out{.op = node.op, .is_view = op_of(node).is_view};
    out.has_kernel = plan != nullptr && plan->kernel != nullptr;
    if (out.has_kernel) out.kernel = plan->kernel->name;
    if (plan != nullptr) out.workspace_bytes = plan->workspace_bytes;
    const DimBindings& bindings = in_.plan.bindings;
    for (ValueId id : node.inputs) out.arguments.push_back(describe(in_.graph, id, bindings));
    std::vector<ValueId> results = node.outputs;
    for (const Mutation& mutation : node.mutations) results.push_back(mutation.version);
    for (ValueId id : results) out.results.push_back(describe(in_.graph, id, bindings));
    if (!results.empty()) out.shape = describe(in_.graph.values[results.front()].meta, bindings);
    if (!out.is_view) out.work = work_of(node, out.has_kernel ? plan->kernel : nullptr);
    return out;
  }

  Work work_of(const Node& node, const Kernel* kernel) const {
    std::vector<CostTensor> inputs;
    std::vector<CostTensor> outputs;
    for (ValueId id : node.inputs) inputs.push_back(cost_tensor(in_.graph, id, in_.plan.bindings));
    for (ValueId id : node.outputs) outputs.push_back(cost_tensor(in_.graph, id, in_.plan.bindings));
    const CallCost cost = cost_of_call(op_of(node), {inputs, outputs, node.attributes, in_.extent});
    Work work{.float_ops = cost.float_ops, .int8_ops = cost.int8_ops};
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i].present) continue;
      const ValueKind kind = in_.graph.values[in_.graph.values[node.inputs[i]].storage].kind;
      double& bytes = kind == ValueKind::kWeight  ? work.weight_bytes
                      : kind == ValueKind::kState ? work.state_bytes
                                                  : work.other_bytes;
      bytes += bytes_of(inputs[i], cost.read[i] + cost.written[i]) *
               packing_ratio(kernel, static_cast<int>(i), inputs[i]);
    }
    for (const CostTensor& output : outputs) work.other_bytes += bytes_of(output, output.elements());
    work.seconds = in_.roof.seconds(work.bytes(), work.float_ops, work.int8_ops);
    return work;
  }

  std::vector<ExplainedSegment> explain_segments(const std::vector<ExplainedNode>& nodes) const {
    const StructureClasses classes = structure_classes(in_.graph, in_.segments);
    std::vector<int> numbers;  // by class: pieces and breaks are counted apart
    int num_pieces = 0;
    int num_breaks = 0;
    for (int first : classes.representatives)
      numbers.push_back(in_.segments[first].is_break ? num_breaks++ : num_pieces++);
    std::vector<ExplainedSegment> segments;
    for (size_t s = 0; s < in_.segments.size(); ++s) {
      const Segment& segment = in_.segments[s];
      ExplainedSegment out{.is_break = segment.is_break,
                           .begin = segment.begin,
                           .end = segment.end,
                           .is_recorded = segment.is_break && in_.target.capabilities.has(kRecordedBreaks),
                           .structure = numbers[classes.class_of[s]]};
      for (int i = segment.begin; i < segment.end; ++i) {
        out.work += nodes[i].work;
        out.launches += nodes[i].is_launch();
      }
      if (segment.is_break) out.reason = break_reason(in_.graph.nodes[segment.begin]);
      segments.push_back(std::move(out));
    }
    return segments;
  }

  std::string break_reason(const Node& node) const {
    const char* reason = op_of(node).break_reason;
    return reason != nullptr ? reason : node.op + " says that it cannot be captured";
  }

  static std::vector<Repeat> fold_segments(const std::vector<ExplainedSegment>& segments) {
    std::vector<int> items;
    for (const ExplainedSegment& segment : segments)
      items.push_back(2 * segment.structure + segment.is_break);
    return fold(items);
  }

  // Copies that several kernels share are counted once for each layout.
  size_t weight_bytes() const {
    std::set<std::pair<ValueId, std::string>> counted;
    double bytes = 0.0;
    for (const PlannedNode& plan : in_.plan.nodes) {
      const Node& node = in_.graph.nodes[plan.node];
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        if (node.inputs[i] == kNoValue) continue;
        const ValueId storage = in_.graph.values[node.inputs[i]].storage;
        if (in_.graph.values[storage].kind != ValueKind::kWeight) continue;
        const CostTensor tensor = cost_tensor(in_.graph, storage, in_.plan.bindings);
        const bool packed = plan.kernel != nullptr && plan.kernel->packing &&
                            plan.kernel->packing->input == static_cast<int>(i);
        if (!counted.emplace(storage, packed ? plan.kernel->packing->layout : "").second) continue;
        bytes +=
            bytes_of(tensor, tensor.elements()) * packing_ratio(plan.kernel, static_cast<int>(i), tensor);
      }
    }
    return static_cast<size_t>(bytes);
  }

  std::vector<MissingKernels> missing_kernels() const {
    std::map<std::string, int> counts;
    for (const PlannedNode& plan : in_.plan.nodes) {
      if (plan.kernel == nullptr) ++counts[in_.graph.nodes[plan.node].op];
    }
    std::vector<MissingKernels> missing;
    for (const auto& [op, nodes] : counts)
      missing.push_back({op, nodes, in_.target.registry.get(op).decomposition != nullptr});
    return missing;
  }

  const ExplainInput& in_;
  std::map<int, const PlannedNode*> planned_;
};

}  // namespace

Explanation explain(const ExplainInput& input) {
  return Explainer(input).run();
}

}  // namespace musaic
