#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kGrouped = "musaic::grouped_linear_fp8";
constexpr const char* kGroupedSwiglu = "musaic::grouped_swiglu_quant_fp8";
constexpr const char* kLinear = "musaic::linear_fp8";
constexpr const char* kQuantize = "sgl_kernel::sgl_per_token_group_quant_8bit_v2";
constexpr const char* kGateUp = "musaic::experts_gate_up_fp8";
constexpr const char* kDown = "musaic::experts_down_fp8";

enum Grouped { kQ, kScale, kRowToken, kStart, kCount, kWeight, kWeightScale };
enum Linear { kLinearQ, kLinearScale, kLinearWeight, kLinearWeightScale, kBias };

// One mixture of experts, by its nodes.
struct Experts {
  int gate_up;
  int swiglu;
  int down;
  int shared_gate_up;
  int shared_swiglu;  // with its quantization
  int shared_down;
};

// Nodes that write or that somebody reads in the end: passes before have left others.
std::vector<bool> live_nodes(const Graph& graph, const Uses& uses) {
  std::vector<bool> is_live(graph.nodes.size(), false);
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    is_live[i] =
        !node.mutations.empty() || std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) {
          const auto& users = uses.of(id);
          return std::any_of(users.begin(), users.end(), [&](int user) {
            return user >= static_cast<int>(graph.nodes.size()) || is_live[static_cast<size_t>(user)];
          });
        });
  }
  return is_live;
}

class ExpertFuser {
 public:
  ExpertFuser(const Graph& graph, const Target& target, PassReport& report)
      : graph_(graph), target_(target), report_(report), uses_(graph), rewriter_(target.registry, graph) {}

  Graph run() {
    for (int i = 0; i < num_nodes(); ++i) {
      if (const auto experts = find(i)) keep_supported(*experts);
    }
    for (int i = 0; i < num_nodes(); ++i) {
      if (const auto gate_up = gate_ups_.find(i); gate_up != gate_ups_.end()) {
        fuse_gate_up(gate_up->second);
      } else if (const auto down = downs_.find(i); down != downs_.end()) {
        fuse_down(down->second);
      } else if (!is_fused_[static_cast<size_t>(i)] && is_live_[static_cast<size_t>(i)]) {
        rewriter_.copy(graph_.nodes[static_cast<size_t>(i)]);
      }
    }
    return rewriter_.finish();
  }

 private:
  int num_nodes() const { return static_cast<int>(graph_.nodes.size()); }
  const Node& node(int index) const { return graph_.nodes[static_cast<size_t>(index)]; }
  const Meta* meta(ValueId id) const { return &graph_.values[static_cast<size_t>(id)].meta; }

  // The node of that op that alone reads the value; -1: there is none.
  int sole_reader(ValueId id, std::string_view op) const {
    int found = -1;
    for (int reader : uses_.of(id)) {
      if (reader == found || (reader < num_nodes() && !is_live_[static_cast<size_t>(reader)])) continue;
      if (found >= 0 || reader >= num_nodes() || node(reader).op != op) return -1;
      found = reader;
    }
    return found;
  }

  // The linear of the same rows whose SwiGLU is quantized for another linear.
  bool find_shared(Experts& experts) const {
    const Node& routed = node(experts.gate_up);
    for (int i : uses_.of(routed.inputs[kQ])) {
      if (i >= num_nodes() || node(i).op != kLinear || node(i).inputs[kLinearQ] != routed.inputs[kQ] ||
          node(i).inputs[kLinearScale] != routed.inputs[kScale] || node(i).inputs[kBias] != kNoValue)
        continue;
      const int quantize = sole_reader(node(i).outputs[0], kQuantize);
      if (quantize < 0 || !is_swiglu_of_128(node(quantize))) continue;
      const int down = sole_reader(node(quantize).mutations[0].version, kLinear);
      if (down < 0 || node(down).inputs[kBias] != kNoValue ||
          sole_reader(node(quantize).mutations[1].version, kLinear) != down)
        continue;
      experts.shared_gate_up = i;
      experts.shared_swiglu = quantize;
      experts.shared_down = down;
      return true;
    }
    return false;
  }

  bool is_swiglu_of_128(const Node& quantize) const {
    const Attributes& attributes = quantize.attributes;
    return attributes.get_bool("fuse_silu_and_mul") && attributes.get_int("group_size") == 128 &&
           attributes.get_float("eps") == 1e-10 && attributes.get_float("fp8_min") == -448.0 &&
           attributes.get_float("fp8_max") == 448.0 && !attributes.get_bool("scale_ue8m0") &&
           meta(quantize.inputs[1])->dtype == DType::kF8E4M3 && meta(quantize.inputs[2])->is_contiguous();
  }

  std::optional<Experts> find(int gate_up) {
    const Node& linear = node(gate_up);
    if (linear.op != kGrouped || linear.inputs[kRowToken] == kNoValue ||
        linear.attributes.get_int("parts") != 2)
      return std::nullopt;
    Experts experts{.gate_up = gate_up};
    experts.swiglu = sole_reader(linear.outputs[0], kGroupedSwiglu);
    if (experts.swiglu < 0) return std::nullopt;
    experts.down = sole_reader(node(experts.swiglu).outputs[0], kGrouped);
    if (experts.down < 0 || sole_reader(node(experts.swiglu).outputs[1], kGrouped) != experts.down)
      return std::nullopt;
    if (!find_shared(experts)) {
      report_.leave(gate_up, "no shared experts of the same rows");
      return std::nullopt;
    }
    return experts;
  }

  std::vector<ValueId> gate_up_inputs(const Experts& experts) const {
    std::vector<ValueId> inputs = node(experts.gate_up).inputs;
    const Node& shared = node(experts.shared_gate_up);
    inputs.push_back(shared.inputs[kLinearWeight]);
    inputs.push_back(shared.inputs[kLinearWeightScale]);
    return inputs;
  }
  // Rows, groups and weights: the rows' values are those of the nodes that are taken away.
  std::vector<ValueId> down_inputs(const Experts& experts) const {
    const std::vector<ValueId>& routed = node(experts.down).inputs;
    const std::vector<ValueId>& shared = node(experts.shared_down).inputs;
    return {routed[kQ],
            routed[kScale],
            routed[kStart],
            routed[kCount],
            routed[kWeight],
            routed[kWeightScale],
            shared[kLinearQ],
            shared[kLinearScale],
            shared[kLinearWeight],
            shared[kLinearWeightScale]};
  }

  bool is_supported(const char* op, const std::vector<ValueId>& inputs) const {
    std::vector<const Meta*> metas;
    for (ValueId id : inputs) metas.push_back(meta(id));
    return supports(target_, op, metas, {});
  }

  void keep_supported(const Experts& experts) {
    for (const auto& [op, inputs] :
         {std::pair(kGateUp, gate_up_inputs(experts)), std::pair(kDown, down_inputs(experts))}) {
      if (is_supported(op, inputs)) continue;
      report_.leave(experts.gate_up, missing_op(target_, op) + " for these sizes");
      return;
    }
    for (int reader : uses_.of(node(experts.shared_down).outputs[0])) {
      if (reader < experts.down)
        return report_.leave(experts.gate_up, "the shared experts are read before the routed ones are there");
    }
    gate_ups_.emplace(experts.gate_up, experts);
    downs_.emplace(experts.down, experts);
    for (int part :
         {experts.swiglu, experts.down, experts.shared_gate_up, experts.shared_swiglu, experts.shared_down})
      is_fused_[static_cast<size_t>(part)] = true;
  }

  std::vector<Value> mapped(const std::vector<ValueId>& ids) const {
    std::vector<Value> values;
    for (ValueId id : ids) values.push_back(rewriter_.map(id));
    return values;
  }

  void fuse_gate_up(const Experts& experts) {
    const auto results = rewriter_.builder().call(kGateUp, mapped(gate_up_inputs(experts)));
    rewriter_.replace(node(experts.swiglu).outputs[0], results[0]);
    rewriter_.replace(node(experts.swiglu).outputs[1], results[1]);
    const Node& shared = node(experts.shared_swiglu);
    rewriter_.replace(shared.mutations[0].version, results[2]);
    rewriter_.replace(shared.mutations[1].version, results[3]);
    report_.did(experts.gate_up,
                fmt::format("{} + {} + {} + {} → {}", kGrouped, kGroupedSwiglu, kLinear, kQuantize, kGateUp));
  }

  void fuse_down(const Experts& experts) {
    const auto results = rewriter_.builder().call(kDown, mapped(down_inputs(experts)));
    rewriter_.replace(node(experts.down).outputs[0], results[0]);
    rewriter_.replace(node(experts.shared_down).outputs[0], results[1]);
    report_.did(experts.down, fmt::format("{} + {} → {}", kGrouped, kLinear, kDown));
  }

  const Graph& graph_;
  const Target& target_;
  PassReport& report_;
  Uses uses_;
  Rewriter rewriter_;
  std::map<int, Experts> gate_ups_;  // by the place of the fused node
  std::map<int, Experts> downs_;
  std::vector<bool> is_live_ = live_nodes(graph_, uses_);
  std::vector<bool> is_fused_ = std::vector<bool>(graph_.nodes.size(), false);
};

}  // namespace

// The rows that the shared experts' quantization was to write lose their writer; remove_dead_code takes them
// away.
Graph fuse_experts(const Graph& graph, const Target& target, PassReport& report) {
  if (!has_kernels(target, kGateUp)) return graph;
  return ExpertFuser(graph, target, report).run();
}

}  // namespace musaic
