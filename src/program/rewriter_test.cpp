#include "program/rewriter.h"

#include <gtest/gtest.h>

#include "ops/add/add.h"
#include "ops/kv_write/kv_write.h"
#include "ops/op_list.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/rope/rope.h"
#include "ops/view/view.h"

namespace musaic {
namespace {

class RewriterTest : public testing::Test {
 protected:
  RewriterTest() { define_ops(registry_); }

  Value tokens_by(const char* name, int64_t width) {
    return builder_.input(name, DType::kF32, {Dim::symbol("tokens"), width});
  }

  OpRegistry registry_;
  GraphBuilder builder_{registry_, "extend", Device{"musa", 0}};
};

TEST_F(RewriterTest, CopyingEveryNodeGivesTheSameGraph) {
  const Value x = tokens_by("x", 128);
  const Value cos_sin = tokens_by("cos_sin", 32);
  const Value slots = builder_.input("slots", DType::kI32, {Dim::symbol("tokens")});
  const Value weight = builder_.weight({"a", "b"}, DType::kF32, {128});
  builder_.constant("table", DType::kU8, {2}, {std::byte{3}, std::byte{4}});
  const Value keys = builder_.state("keys", DType::kF16, {Dim::symbol("pages"), 1, 16, 32});
  const Value values = builder_.state("values", DType::kF16, {Dim::symbol("pages"), 1, 16, 32});
  const Value normed = rms_norm(x, weight, 1e-5);
  const Value query = slice(normed, 1, 0, 64);
  const Value value = slice(normed, 1, 96, 128);
  const Value key = rope_(slice(normed, 1, 64, 96), cos_sin, 32);
  kv_write(key, value, slots, keys, values);
  builder_.output("y", query);
  const Graph graph = builder_.take();

  Rewriter rewriter(registry_, graph);
  for (const Node& node : graph.nodes) rewriter.copy(node);
  const Graph copy = rewriter.finish();
  EXPECT_EQ(print(copy), print(graph));
  EXPECT_TRUE(verify(copy, registry_).empty());
  EXPECT_EQ(copy.values[copy.find("a+b")].weight_parts, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(*copy.values[copy.find("table")].constant, *graph.values[graph.find("table")].constant);
}

TEST_F(RewriterTest, LaterNodesAndOutputsReadTheReplacement) {
  const Value x = tokens_by("x", 8);
  const Value y = tokens_by("y", 8);
  const Value sum = add(x, y);
  builder_.output("sum", sum);
  builder_.output("twice", add(sum, sum));
  const Graph graph = builder_.take();

  Rewriter rewriter(registry_, graph);
  rewriter.replace(sum.id(), rewriter.map(y.id()));
  rewriter.copy(graph.nodes[1]);
  const Graph rewritten = rewriter.finish();
  ASSERT_EQ(rewritten.nodes.size(), 1u);
  EXPECT_EQ(rewritten.nodes[0].inputs, (std::vector<ValueId>{y.id(), y.id()}));
  EXPECT_EQ(rewritten.output("sum"), rewritten.find("y"));
}

TEST_F(RewriterTest, ReadersOfAVersionReadTheCopiedVersion) {
  const Value x = tokens_by("x", 32);
  const Value cos_sin = tokens_by("cos_sin", 32);
  const Value turned = rope_(add(x, x), cos_sin, 32);
  builder_.output("y", add(turned, x));
  const Graph graph = builder_.take();

  Rewriter rewriter(registry_, graph);
  add(rewriter.map(x.id()), rewriter.map(x.id()));  // shifts every number that follows
  for (const Node& node : graph.nodes) rewriter.copy(node);
  const Graph copy = rewriter.finish();
  ASSERT_EQ(copy.nodes.size(), 4u);
  EXPECT_EQ(copy.nodes[3].inputs[0], copy.nodes[2].mutations[0].version);
  EXPECT_TRUE(verify(copy, registry_).empty());
}

TEST_F(RewriterTest, AnAbsentArgumentStaysAbsentAndAnUnmappedOneIsOurBug) {
  const Value x = tokens_by("x", 8);
  const Value sum = add(x, x);
  const Graph graph = builder_.take();
  Rewriter rewriter(registry_, graph);
  EXPECT_FALSE(rewriter.map(kNoValue).defined());
  EXPECT_EQ(rewriter.map(x.id()).id(), x.id());
  EXPECT_DEATH(rewriter.map(sum.id()), "%1 has no counterpart yet");
}

TEST_F(RewriterTest, UsesListReadersInOrderAndOutputsLast) {
  const Value x = tokens_by("x", 8);
  const Value y = tokens_by("y", 8);
  const Value sum = add(x, y);
  const Value twice = add(sum, sum);
  builder_.output("twice", twice);
  builder_.output("sum", sum);
  const Graph graph = builder_.take();
  const Uses uses(graph);
  EXPECT_EQ(uses.of(x.id()), (std::vector<int>{0}));
  EXPECT_EQ(uses.of(sum.id()), (std::vector<int>{1, 1, 2})) << "one entry an argument; 2 is the output";
  EXPECT_EQ(uses.of(twice.id()), (std::vector<int>{2}));
  EXPECT_TRUE(uses.only_used_by(x.id(), 0));
  EXPECT_FALSE(uses.only_used_by(x.id(), 1));
  EXPECT_FALSE(uses.only_used_by(sum.id(), 1));
}

TEST_F(RewriterTest, ViewsAndVersionsShareTheirStorage) {
  const Value x = tokens_by("x", 32);
  const Value cos_sin = tokens_by("cos_sin", 32);
  const Value alone = add(x, x);
  const Value viewed = add(x, x);
  const Value view = slice(viewed, 1, 0, 8);
  const Value written = add(x, x);
  const Value version = rope_(written, cos_sin, 32);
  const Graph graph = builder_.take();
  const Uses uses(graph);
  EXPECT_TRUE(uses.owns_storage_alone(alone.id()));
  for (const Value& value : {viewed, view, written, version})
    EXPECT_FALSE(uses.owns_storage_alone(value.id()));
}

}  // namespace
}  // namespace musaic
