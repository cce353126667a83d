#include "ops/add/add.h"
#include "ops/view/view.h"
#include "program/passes/pass_fixture_for_test.h"

namespace musaic {
namespace {

using FoldViews = PassesTest;

// Twice the value, so that it is computed and no view itself is an output.
void twice(GraphBuilder& builder, const char* name, Value value) {
  builder.output(name, add(value, value));
}

TEST_F(FoldViews, ASliceOfASliceIsOneSlice) {
  GraphBuilder builder(registry_, "g", {});
  twice(builder, "y", slice(slice(tokens_by(builder, "x", 64), 1, 16, 48), 1, 8, 12));
  const Target target = target_without({});
  const Graph graph = run(run(builder.take(), target, fold_views), target, remove_dead_code);
  ASSERT_EQ(graph.nodes.size(), 2u);
  EXPECT_EQ(graph.nodes[0].attributes.get_int("start"), 24);
  EXPECT_EQ(graph.nodes[0].attributes.get_int("end"), 28);
}

TEST_F(FoldViews, AViewOfTheWholeAndAViewUndoneAreTheirBase) {
  GraphBuilder builder(registry_, "g", {});
  const Value x = tokens_by(builder, "x", 64);
  twice(builder, "y", slice(x, 1, 0, 64));
  twice(builder, "z", merge_last_dims(split_last_dim(x, 16)));
  PassReport report;
  const Target target = target_without({});
  const Graph graph = run(run(builder.take(), target, fold_views, &report), target, remove_dead_code);
  EXPECT_EQ(report.rewrites, 2);
  EXPECT_EQ(count(graph, "aten::add"), 2);
  EXPECT_EQ(graph.nodes.size(), 2u);
}

TEST_F(FoldViews, SlicesAlongDifferentDimensionsStay) {
  GraphBuilder builder(registry_, "g", {});
  const Value x = builder.input("x", DType::kF32, {8, 64});
  twice(builder, "y", slice(slice(x, 0, 2, 4), 1, 8, 12));
  EXPECT_EQ(count(run(builder.take(), target_without({}), fold_views), "aten::slice"), 2);
}

}  // namespace
}  // namespace musaic
