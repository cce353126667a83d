#include "program/plan.h"

#include <gtest/gtest.h>

#include "base/status.h"
#include "ir/builder.h"
#include "ops/add/add.h"
#include "ops/embedding/embedding.h"
#include "ops/linear/linear.h"
#include "ops/op_list.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/view/view.h"

namespace musaic {
namespace {

void run_nothing(const KernelCall&) {}
Dim hundred_bytes_a_row(const KernelQuery& query) {
  return query.inputs[0]->dim(0) * Dim(100);
}

class PlanTest : public testing::Test {
 protected:
  PlanTest() {
    define_ops(registry_);
    registry_.add_kernel("aten::add", {.name = "add_test", .device_type = "cpu", .run = run_nothing});
    registry_.add_kernel("aten::rms_norm", {.name = "norm_test",
                                            .device_type = "cpu",
                                            .run = run_nothing,
                                            .workspace_bytes = hundred_bytes_a_row});
  }

  // A chain in which every value but the last two is dead when the next is made.
  Graph chain(int length) {
    GraphBuilder builder(registry_, "chain", {});
    const Value x = builder.input("x", DType::kF32, {Dim::symbol("tokens"), 64});
    const Value weight = builder.weight({"w"}, DType::kF32, {64});
    Value y = x;
    for (int i = 0; i < length; ++i) y = add(rms_norm(y, weight, 1e-5), y);
    builder.output("y", y);
    return builder.take();
  }

  OpRegistry registry_;
  Capabilities capabilities_;
  Target target_{registry_, {}, capabilities_};
};

struct Extent {
  int first, last;
  size_t begin, end;
};

// Every temporary and workspace with its lifetime, worked out in the plainest way.
std::vector<Extent> extents(const Graph& graph, const Plan& plan) {
  std::vector<Extent> all;
  for (size_t id = 0; id < graph.values.size(); ++id) {
    if (plan.offsets[id] == Plan::kExternal) continue;
    int first = -1;
    int last = -1;
    for (int n = 0; n < static_cast<int>(graph.nodes.size()); ++n) {
      std::vector<ValueId> touched = graph.nodes[n].inputs;
      touched.insert(touched.end(), graph.nodes[n].outputs.begin(), graph.nodes[n].outputs.end());
      for (ValueId t : touched) {
        if (t == kNoValue || graph.values[t].storage != static_cast<ValueId>(id)) continue;
        if (first < 0) first = n;
        last = n;
      }
    }
    const size_t bytes =
        byte_size(graph.values[id].meta.dtype, elements(graph.values[id].meta.shape).evaluate(plan.bindings));
    all.push_back({first, last, plan.offsets[id], plan.offsets[id] + bytes});
  }
  for (const PlannedNode& node : plan.nodes) {
    if (node.workspace_bytes == 0) continue;
    all.push_back(
        {node.node, node.node, node.workspace_offset, node.workspace_offset + node.workspace_bytes});
  }
  return all;
}

TEST_F(PlanTest, NothingAliveAtTheSameTimeOverlaps) {
  const Graph graph = chain(7);
  for (int tokens : {1, 3, 64, 513}) {
    const Plan plan = plan_memory(graph, target_, {{"tokens", tokens}});
    const auto all = extents(graph, plan);
    ASSERT_GT(all.size(), 14u);
    for (size_t i = 0; i < all.size(); ++i) {
      EXPECT_LE(all[i].end, plan.arena_bytes);
      EXPECT_EQ(all[i].begin % kArenaAlignment, 0u);
      for (size_t j = 0; j < i; ++j) {
        const bool together = all[i].first <= all[j].last && all[j].first <= all[i].last;
        EXPECT_FALSE(together && all[i].begin < all[j].end && all[j].begin < all[i].end) << i << " and " << j;
      }
    }
  }
}

TEST_F(PlanTest, DeadValuesGiveTheirMemoryBack) {
  const size_t row_bytes = 64 * sizeof(float);
  const Plan plan = plan_memory(chain(50), target_, {{"tokens", 10}});
  EXPECT_LE(plan.arena_bytes, 3 * 10 * row_bytes + 10 * 100 + 4 * kArenaAlignment);
}

TEST_F(PlanTest, InputsAndOutputsLieOutsideTheArena) {
  const Graph graph = chain(2);
  const Plan plan = plan_memory(graph, target_, {{"tokens", 10}});
  EXPECT_EQ(plan.offsets[graph.find("x")], Plan::kExternal);
  EXPECT_EQ(plan.offsets[graph.output("y")], Plan::kExternal);
}

TEST_F(PlanTest, AViewKeepsItsBaseAlive) {
  GraphBuilder builder(registry_, "view", {});
  const Value x = builder.input("x", DType::kF32, {4, 64});
  const Value base = add(x, x);
  const Value part = slice(base, 1, 0, 32);
  const Value other = add(x, x);
  builder.output("y", add(part, slice(other, 1, 32, 64)));
  const Graph graph = builder.take();
  const Plan plan = plan_memory(graph, target_, {});
  EXPECT_NE(plan.offsets[base.id()], plan.offsets[other.id()]);
  EXPECT_EQ(plan.nodes.size(), 3u) << "views have no kernel";
}

// Kernels of a device whose linear packs its weight, and whose embedding reads a copy so packed.
class SharedWeightTest : public testing::Test {
 protected:
  SharedWeightTest() {
    define_ops(registry_);
    registry_.add_kernel("aten::linear", {.name = "linear_packed",
                                          .device_type = "cpu",
                                          .run = run_nothing,
                                          .packing = WeightPacking{.input = 1, .layout = "panels"}});
    add_embedding("embedding_of_others", "others");
    add_embedding("embedding_of_panels", "panels");
    registry_.add_kernel("aten::embedding",
                         {.name = "embedding_of_file", .device_type = "cpu", .run = run_nothing});
  }

  void add_embedding(const char* name, const char* layout) {
    registry_.add_kernel("aten::embedding",
                         {.name = name,
                          .device_type = "cpu",
                          .run = run_nothing,
                          .packing = WeightPacking{.input = 0, .layout = layout, .shared_only = true}});
  }

  Graph embedding_of(const char* weight, const char* head) {
    GraphBuilder builder(registry_, "model", {});
    const Value ids = builder.input("ids", DType::kI32, {Dim::symbol("tokens")});
    Value y = embedding(builder.weight({weight}, DType::kF32, {32, 64}), ids);
    if (head != nullptr) y = linear(y, builder.weight({head}, DType::kF32, {32, 64}), {});
    builder.output("y", y);
    return builder.take();
  }

  OpRegistry registry_;
  Capabilities capabilities_;
  Target target_{registry_, {}, capabilities_};
};

TEST_F(SharedWeightTest, AnEmbeddingReadsTheCopyThatTheHeadOfItsGraphHasPacked) {
  EXPECT_EQ(choose_kernels(embedding_of("w", "w"), target_)[0]->name, "embedding_of_panels");
  EXPECT_EQ(choose_kernels(embedding_of("w", "head"), target_)[0]->name, "embedding_of_file");
  EXPECT_EQ(choose_kernels(embedding_of("w", nullptr), target_)[0]->name, "embedding_of_file");
}

TEST_F(SharedWeightTest, AnEmbeddingReadsTheCopyThatAnotherGraphHasPacked) {
  const Graph body = embedding_of("w", nullptr), step = embedding_of("v", "w");
  PackedWeights packed;
  add_packed_weights(step, choose_kernels(step, target_), packed);
  EXPECT_EQ(packed, (PackedWeights{{"w", "panels"}}));
  std::vector<const Kernel*> kernels = choose_kernels(body, target_);
  share_packed_weights(body, target_, packed, kernels);
  EXPECT_EQ(kernels[0]->name, "embedding_of_panels");
  kernels = choose_kernels(step, target_);
  share_packed_weights(step, target_, packed, kernels);
  EXPECT_EQ(kernels[0]->name, "embedding_of_file") << "its weight is another";
}

TEST_F(PlanTest, AMissingKernelNamesOpDeviceAndWhatThereIs) {
  const Capabilities none;
  const Target other{registry_, {"musa", 0}, none};
  try {
    plan_memory(chain(1), other, {{"tokens", 1}});
    FAIL() << "no error";
  } catch (const LoadError& error) {
    const std::string message = error.what();
    for (const char* part : {"aten::rms_norm", "musa:0", "f32[tokens, 64]", "norm_test"}) {
      EXPECT_NE(message.find(part), std::string::npos) << message;
    }
  }
}

}  // namespace
}  // namespace musaic
