#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "ir/builder.h"
#include "ops/op_list.h"
#include "program/passes/pass.h"

namespace musaic {

inline void run_nothing(const KernelCall&) {}

class PassesTest : public testing::Test {
 protected:
  PassesTest() {
    define_ops(registry_);
    for (const auto& [name, op] : registry_.ops()) {
      if (!op.is_view) names_.push_back(name);
    }
  }

  // A device that has every op but the ones named.
  Target target_without(const std::vector<std::string>& missing) {
    for (const std::string& name : names_) {
      if (std::find(missing.begin(), missing.end(), name) != missing.end()) continue;
      registry_.add_kernel(name, {.name = "test", .device_type = "cpu", .run = run_nothing});
    }
    return {registry_, {}, capabilities_};
  }

  Value tokens_by(GraphBuilder& builder, const char* name, int64_t width) {
    return builder.input(name, DType::kF32, {Dim::symbol("tokens"), width});
  }

  OpRegistry registry_;
  Capabilities capabilities_;
  std::vector<std::string> names_;
};

inline Value f8_weight(GraphBuilder& builder, const char* name, DimShape shape) {
  return builder.weight({name}, DType::kF8E4M3, std::move(shape));
}
inline Value f32_weight(GraphBuilder& builder, const char* name, DimShape shape) {
  return builder.weight({name}, DType::kF32, std::move(shape));
}

inline int count(const Graph& graph, std::string_view op) {
  return static_cast<int>(
      std::count_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) { return node.op == op; }));
}

inline Graph run(const Graph& graph, const Target& target,
                 Graph (*pass)(const Graph&, const Target&, PassReport&), PassReport* report = nullptr) {
  PassReport own;
  Graph result = pass(graph, target, report ? *report : own);
  EXPECT_TRUE(verify(result, target.registry).empty());
  return result;
}

}  // namespace musaic
