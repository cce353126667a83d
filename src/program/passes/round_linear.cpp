#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "program/passes/pass.h"

namespace musaic {
namespace {

constexpr const char* kRounds = "rounds_x";

// Linears that may round their rows.
constexpr std::string_view kLinears[] = {"musaic::rms_norm_linear", "musaic::rms_norm_linear_swiglu",
                                         "musaic::linear_add_"};
constexpr size_t kWeight = 2;  // among the inputs of each

bool has_bf16_weight(const Graph& graph, const Node& node) {
  return std::find(std::begin(kLinears), std::end(kLinears), node.op) != std::end(kLinears) &&
         graph.values[node.inputs[kWeight]].meta.dtype == DType::kBF16;
}

}  // namespace

// Of linears that nothing is fused with, as of routers, few are left: they stay exact.
Graph round_linear(const Graph& graph, const Target&, PassReport& report) {
  Graph rounded = graph;
  for (int i = 0; i < static_cast<int>(rounded.nodes.size()); ++i) {
    Node& node = rounded.nodes[i];
    if (!has_bf16_weight(graph, node)) continue;
    node.attributes.set(kRounds, true);
    report.did(i, fmt::format("{}: rows are rounded to bf16, as the weight is", node.op));
  }
  return rounded;
}

}  // namespace musaic
