#include <gtest/gtest.h>

#include "ops/add/add.h"
#include "ops/kv_write/kv_write.h"
#include "ops/linear/linear.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/rope/rope.h"
#include "ops/swiglu/swiglu.h"
#include "ops/view/view.h"
#include "program/passes/pass_fixture_for_test.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

TEST_F(PassesTest, AddAndNormBecomeOneInPlaceOp) {
  GraphBuilder builder(registry_, "g", {});
  const Value x = tokens_by(builder, "x", 64);
  const Value weight = builder.weight({"w"}, DType::kF32, {64});
  const Value residual = add(x, x);
  const Value branch = rms_norm(residual, weight, 1e-5);
  const Value sum = add(residual, branch);
  builder.output("y", add(sum, rms_norm(sum, weight, 1e-5)));
  const Graph graph = run(builder.take(), target_without({}), fuse_add_rms_norm);
  EXPECT_EQ(count(graph, "sgl_kernel::fused_add_rmsnorm"), 1);
  EXPECT_EQ(count(graph, "aten::rms_norm"), 1) << "x + x is an input's sum: it stays";
}

TEST_F(PassesTest, AnOperandThatIsReadLaterIsNotOverwritten) {
  GraphBuilder builder(registry_, "g", {});
  const Value x = tokens_by(builder, "x", 64);
  const Value weight = builder.weight({"w"}, DType::kF32, {64});
  const Value residual = rms_norm(x, weight, 1e-5);
  const Value branch = rms_norm(x, weight, 1e-6);
  const Value sum = add(residual, branch);
  const Value normed = rms_norm(sum, weight, 1e-5);
  builder.output("y", add(add(sum, normed), residual));
  PassReport report;
  const Graph graph = run(builder.take(), target_without({}), fuse_add_rms_norm, &report);
  EXPECT_EQ(count(graph, "sgl_kernel::fused_add_rmsnorm"), 0);
  EXPECT_EQ(report.left.size(), 1u);
}

TEST_F(PassesTest, GraphInputsAreNotOverwritten) {
  GraphBuilder builder(registry_, "g", {});
  const Value x = tokens_by(builder, "x", 64);
  const Value y = tokens_by(builder, "y", 64);
  const Value weight = builder.weight({"w"}, DType::kF32, {64});
  const Value sum = add(x, y);
  builder.output("z", add(sum, rms_norm(sum, weight, 1e-5)));
  EXPECT_EQ(count(run(builder.take(), target_without({}), fuse_add_rms_norm), "aten::rms_norm"), 1);
}

Graph swiglu_graph(const OpRegistry& registry, int64_t cut) {
  GraphBuilder builder(registry, "g", {});
  const Value x = builder.input("x", DType::kF32, {Dim::symbol("tokens"), 128});
  builder.output("y", mul(silu(slice(x, 1, 0, cut)), slice(x, 1, 128 - cut, 128)));
  return builder.take();
}

TEST_F(PassesTest, SwigluOfTwoHalvesIsFusedAndItsPartsDie) {
  const Target target = target_without({});
  const Graph graph = run(run(swiglu_graph(registry_, 64), target, fuse_swiglu), target, remove_dead_code);
  ASSERT_EQ(graph.nodes.size(), 1u);
  EXPECT_EQ(graph.nodes[0].op, "aten::_fused_swiglu_forward");
}

TEST_F(PassesTest, SlicesThatAreNoHalvesAreLeftAlone) {
  const Target target = target_without({});
  EXPECT_EQ(count(run(swiglu_graph(registry_, 32), target, fuse_swiglu), "aten::mul"), 1);
}

TEST_F(PassesTest, ADeviceWithoutTheFusedOpKeepsThePlainOnesAndTheReportSaysSo) {
  const Target target = target_without({"aten::_fused_swiglu_forward"});
  PassReport report;
  EXPECT_EQ(count(run(swiglu_graph(registry_, 64), target, fuse_swiglu, &report), "aten::mul"), 1);
  ASSERT_EQ(report.left.size(), 1u);
  EXPECT_NE(report.left[0].text.find("aten::_fused_swiglu_forward"), std::string::npos);
}

TEST_F(PassesTest, RotationsAndTheCacheWriteBecomeOne) {
  GraphBuilder builder(registry_, "g", {});
  const Dim tokens = Dim::symbol("tokens");
  const Value qkv = add(tokens_by(builder, "a", 128), tokens_by(builder, "b", 128));
  const Value cos_sin = builder.input("cos_sin", DType::kF32, {tokens, 32});
  const Value slots = builder.input("slots", DType::kI32, {tokens});
  const Value keys = builder.state("keys", DType::kF16, {Dim::symbol("pages"), 1, 16, 32});
  const Value values = builder.state("values", DType::kF16, {Dim::symbol("pages"), 1, 16, 32});
  const Value query_slice = slice(qkv, 1, 0, 64);
  const Value key_slice = slice(qkv, 1, 64, 96);
  const Value value_slice = slice(qkv, 1, 96, 128);
  const Value query = rope_(query_slice, cos_sin, 32);
  const Value key = rope_(key_slice, cos_sin, 32);
  kv_write(key, value_slice, slots, keys, values);
  builder.output("q", add(query, query));
  const Graph graph = run(builder.take(), target_without({}), fuse_rope_kv_write);
  EXPECT_EQ(count(graph, "musaic::rope_kv_write"), 1);
  EXPECT_EQ(count(graph, "musaic::rope_") + count(graph, "musaic::kv_write"), 0);
}

TEST_F(PassesTest, DeadCodeGoesButWritesToStateStay) {
  GraphBuilder builder(registry_, "g", {});
  const Dim tokens = Dim::symbol("tokens");
  const Value x = tokens_by(builder, "x", 32);
  const Value slots = builder.input("slots", DType::kI32, {tokens});
  const Value keys = builder.state("keys", DType::kF16, {Dim::symbol("pages"), 1, 16, 32});
  const Value values = builder.state("values", DType::kF16, {Dim::symbol("pages"), 1, 16, 32});
  add(x, x);
  kv_write(x, x, slots, keys, values);
  builder.output("y", add(x, x));
  const Graph graph = run(builder.take(), target_without({}), remove_dead_code);
  EXPECT_EQ(count(graph, "aten::add"), 1);
  EXPECT_EQ(count(graph, "musaic::kv_write"), 1);
}

TEST_F(PassesTest, QuantizedWeightsMeetActivationsThatAreQuantizedOnce) {
  GraphBuilder builder(registry_, "g", {});
  const Value x = tokens_by(builder, "x", 64);
  const Value a = linear(x, builder.weight({"a"}, DType::kQ4_1, {32, 64}));
  const Value b = linear(x, builder.weight({"b"}, DType::kQ8_0, {32, 64}));
  const Value c = linear(x, builder.weight({"c"}, DType::kF32, {32, 64}));
  builder.output("y", add(add(a, b), c));
  const Graph graph = run(builder.take(), target_without({}), quantize_linear);
  EXPECT_EQ(count(graph, "musaic::quantize_q8"), 1);
  EXPECT_EQ(count(graph, "musaic::linear_q8"), 2);
  EXPECT_EQ(count(graph, "aten::linear"), 1);
}

TEST_F(PassesTest, ADisabledPassDoesNotRun) {
  const Target target = target_without({});
  Graph graph = swiglu_graph(registry_, 64);
  const std::vector<std::string> disabled = {"fuse_swiglu"};
  const auto reports = run_passes(graph, target, passes_for(true), disabled);
  EXPECT_EQ(count(graph, "aten::mul"), 1);
  for (const PassReport& report : reports) EXPECT_EQ(report.enabled, report.name != "fuse_swiglu");
}

TEST_F(PassesTest, EqualRemarksAreCountedOnce) {
  GraphBuilder builder(registry_, "g", {});
  const Value x = builder.input("x", DType::kF32, {Dim::symbol("tokens"), 128});
  for (const char* name : {"a", "b", "c"})
    builder.output(name, mul(silu(slice(x, 1, 0, 64)), slice(x, 1, 64, 128)));
  Graph graph = builder.take();
  const std::vector<Pass> passes = {{"fuse_swiglu", fuse_swiglu}};
  const auto reports = run_passes(graph, target_without({}), passes, {});
  EXPECT_EQ(reports[0].rewrites, 3);
  ASSERT_EQ(reports[0].done.size(), 1u);
  EXPECT_EQ(to_string(reports[0].done[0]),
            "3 times, first at node 3: aten::silu · aten::mul of two halves → aten::_fused_swiglu_forward");
}

TEST_F(PassesTest, GateAndUpOfTwoTensorsAreNotFusedAndTheReportSaysWhy) {
  GraphBuilder builder(registry_, "g", {});
  builder.output("y", mul(silu(tokens_by(builder, "a", 64)), tokens_by(builder, "b", 64)));
  PassReport report;
  EXPECT_EQ(count(run(builder.take(), target_without({}), fuse_swiglu, &report), "aten::mul"), 1);
  ASSERT_EQ(report.left.size(), 1u);
  EXPECT_EQ(report.left[0].text, "gate and up are not the halves of one tensor");
}

TEST_F(PassesTest, WeightsWithoutAReaderGoWithTheDeadCode) {
  GraphBuilder builder(registry_, "g", {});
  const Value x = tokens_by(builder, "x", 32);
  linear(x, builder.weight({"dead"}, DType::kF32, {16, 32}));
  builder.output("y", linear(x, builder.weight({"live"}, DType::kF32, {16, 32})));
  const Graph graph = run(builder.take(), target_without({}), remove_dead_code);
  EXPECT_EQ(graph.find("dead"), kNoValue);
  EXPECT_NE(graph.find("live"), kNoValue);
  EXPECT_NE(graph.find("x"), kNoValue);
}

// Copies the graph's nodes, those of one op first.
Graph hoist(const Graph& graph, const Target& target, PassReport& report, std::string_view op) {
  Rewriter rewriter(target.registry, graph);
  for (const Node& node : graph.nodes) {
    if (node.op == op) rewriter.copy(node);
  }
  for (const Node& node : graph.nodes) {
    if (node.op != op) rewriter.copy(node);
  }
  report.did(0, "hoisted");
  return rewriter.finish();
}

Graph hoist_writes(const Graph& graph, const Target& target, PassReport& report) {
  return hoist(graph, target, report, "musaic::kv_write");
}

Graph swap_nodes_in_place(const Graph& graph, const Target&, PassReport& report) {
  Graph swapped = graph;
  std::swap(swapped.nodes[0], swapped.nodes[1]);
  for (int node : {0, 1}) {
    for (ValueId id : swapped.nodes[node].outputs) swapped.values[id].node = node;
    for (const Mutation& mutation : swapped.nodes[node].mutations)
      swapped.values[mutation.version].node = node;
  }
  report.did(0, "swapped");
  return swapped;
}

using PassesDeathTest = PassesTest;

TEST_F(PassesDeathTest, APassThatMovesAReadBehindAWriteIsRefused) {
  GraphBuilder builder(registry_, "g", {});
  const Dim tokens = Dim::symbol("tokens");
  const Value x = tokens_by(builder, "x", 32);
  const Value slots = builder.input("slots", DType::kI32, {tokens});
  const Value keys = builder.state("keys", DType::kF32, {Dim::symbol("pages"), 1, 16, 32});
  const Value values = builder.state("values", DType::kF32, {Dim::symbol("pages"), 1, 16, 32});
  builder.output("before", add(keys, keys));
  kv_write(x, x, slots, keys, values);
  const Graph graph = builder.take();
  const Target target = target_without({});
  for (const Pass& bad : {Pass{"hoist_writes", hoist_writes}, Pass{"swap_nodes", swap_nodes_in_place}}) {
    Graph copy = graph;
    EXPECT_DEATH(run_passes(copy, target, {&bad, 1}, {}),
                 "pass (hoist_writes|swap_nodes): .* of a storage that %[0-9]+ has overwritten");
  }
}

}  // namespace
}  // namespace musaic
