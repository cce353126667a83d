#include <algorithm>
#include <map>

#include "cli/bench.h"
#include "cli/median.h"
#include "cli/step_cost.h"
#include "cli/timed_steps.h"

namespace musaic {
namespace {

// Nodes that do the same work in every layer: one kernel on weights of one role.
struct NodeGroup {
  std::string op;
  std::string kernel;
  std::string weight;
  int nodes = 0;
  double bytes = 0.0;           // of one node
  double ops = 0.0;             // multiply-adds of one node, two each
  std::vector<double> seconds;  // of all nodes together, one a step
};

// "model.layers.7.mlp.down_proj.weight" → "mlp.down_proj".
std::string role_of(const GraphValue& weight) {
  std::string role;
  for (std::string part : weight.weight_parts) {
    for (const std::string_view affix : {"model.", ".weight"}) {
      if (const size_t at = part.find(affix); at != std::string::npos) part.erase(at, affix.size());
    }
    if (part.starts_with("layers.")) part.erase(0, part.find('.', 7) + 1);
    role += (role.empty() ? "" : "+") + part;
  }
  return role;
}

// Gathers read as much as they write, whatever the size of the table.
bool is_gather(const Node& node) {
  return node.op.ends_with("embedding") || node.op.ends_with("index_select");
}

// What one node reads and writes, and its multiply-adds.
class NodeWork {
 public:
  NodeWork(const Graph& graph, const Plan& plan, const Node& node, double past_tokens)
      : graph_(graph), plan_(plan) {
    for (ValueId id : node.outputs) bytes += value_bytes(id);
    for (const Mutation& mutation : node.mutations) add_mutation(mutation);
    if (is_gather(node)) {
      bytes *= 2;
      return;
    }
    for (ValueId id : node.inputs) add_input(node, id, past_tokens);
    if (const GraphValue* weight = product_weight(graph, node)) {
      const double rows = graph.values[node.outputs[0]].meta.dim(0).evaluate(plan.bindings);
      ops = 2.0 * rows * static_cast<double>(elements(weight->meta.shape).constant());
    }
  }

  double bytes = 0.0;
  double ops = 0.0;

 private:
  const GraphValue& storage_of(ValueId id) const { return graph_.values[graph_.values[id].storage]; }
  double value_bytes(ValueId id) const {
    const Meta& meta = graph_.values[id].meta;
    return static_cast<double>(byte_size(meta.dtype, elements(meta.shape).evaluate(plan_.bindings)));
  }
  // Of a state only a few rows are written, as many as there are inputs for.
  void add_mutation(const Mutation& mutation) {
    if (storage_of(mutation.version).kind != ValueKind::kState) bytes += value_bytes(mutation.version);
  }
  // Of a paged cache, [pages, kv_heads, page_size, head_dim], the past is read by a node that does not write
  // it.
  void add_input(const Node& node, ValueId id, double past_tokens) {
    if (id == kNoValue) return;
    const GraphValue& storage = storage_of(id);
    if (storage.kind != ValueKind::kState) {
      bytes += value_bytes(id);
    } else if (node.mutations.empty() && storage.meta.rank() == 4) {
      const int64_t row = storage.meta.dim(1).constant() * storage.meta.dim(3).constant();
      bytes += past_tokens * static_cast<double>(byte_size(storage.meta.dtype, row));
    }
  }

  const Graph& graph_;
  const Plan& plan_;
};

// The times of all nodes of the steps under measurement, by group in the order of their first node.
class NodeTimes {
 public:
  explicit NodeTimes(double past_tokens) : past_tokens_(past_tokens) {}

  void begin_step() {
    for (NodeGroup& group : groups_) group.seconds.push_back(0.0);
    ++steps_;
  }
  void add(const Graph& graph, const Plan& plan, const PlannedNode& planned, double seconds) {
    const Node& node = graph.nodes[static_cast<size_t>(planned.node)];
    const GraphValue* weight = product_weight(graph, node);
    const std::string key = graph.name + " " + node.op + " " + (weight == nullptr ? "" : role_of(*weight));
    const auto [found, is_new] = index_.try_emplace(key, groups_.size());
    if (is_new) {
      const NodeWork work(graph, plan, node, past_tokens_);
      groups_.push_back({.op = node.op,
                         .kernel = planned.kernel->name,
                         .weight = weight == nullptr ? "" : role_of(*weight),
                         .bytes = work.bytes,
                         .ops = work.ops,
                         .seconds = std::vector<double>(steps_, 0.0)});
    }
    NodeGroup& group = groups_[found->second];
    if (steps_ == 1) ++group.nodes;
    group.seconds.back() += seconds;
  }

  // `step`: what ran, for the first column.
  void append_rows(const std::string& step, Json& rows) const {
    double total = 0.0;
    for (const NodeGroup& group : groups_) total += median(group.seconds);
    for (const NodeGroup& group : groups_) {
      const double seconds = median(group.seconds) / group.nodes;
      rows.push_back({{"op", group.op},
                      {"step", step},
                      {"weight", group.weight},
                      {"kernel", group.kernel},
                      {"nodes", group.nodes},
                      {"us", seconds * 1e6},
                      {"gb_per_s", group.bytes / seconds * 1e-9},
                      {"gop_per_s", group.ops > 0 ? Json(group.ops / seconds * 1e-9) : Json()},
                      {"share", seconds * group.nodes / total}});
    }
  }

 private:
  double past_tokens_;
  size_t steps_ = 0;
  std::map<std::string, size_t> index_;
  std::vector<NodeGroup> groups_;
};

template <class Step>
void measure_nodes(ModelSession& session, const BenchFlags& flags, const std::string& name,
                   double past_tokens, Step step, Json& rows) {
  NodeTimes times(past_tokens);
  bool measuring = false;
  session.runner().observe_nodes(
      [&](const Graph& graph, const Plan& plan, const PlannedNode& planned, double seconds) {
        if (measuring) times.add(graph, plan, planned, seconds);
      });
  step();  // warm-up
  measuring = true;
  for (int repetition = 0; repetition < flags.repetitions; ++repetition) {
    times.begin_step();
    step();
  }
  session.runner().observe_nodes(nullptr);
  times.append_rows(name, rows);
}

}  // namespace

Json bench_ops(ModelSession& session, const BenchFlags& flags) {
  Json rows = Json::array();
  const int most_tokens = session.runner().limits().max_tokens_per_step;
  const int longest = std::min(most_tokens, *std::max_element(flags.tokens.begin(), flags.tokens.end()));
  const int largest = *std::max_element(flags.batch.begin(), flags.batch.end());
  TimedSteps steps(session.runner(), largest, std::max(longest, flags.context + 1));
  for (int tokens : flags.tokens) {
    const int count = std::min(tokens, most_tokens);
    measure_nodes(
        session, flags, "extend " + std::to_string(count), count, [&] { steps.prefill(0, count); }, rows);
  }
  for (int index = 0; index < largest; ++index) steps.prefill(index, flags.context);
  for (int batch : flags.batch) {
    measure_nodes(
        session, flags, "decode " + std::to_string(batch), static_cast<double>(batch) * (flags.context + 1),
        [&] { steps.decode(batch, flags.context); }, rows);
  }
  return rows;
}

}  // namespace musaic
