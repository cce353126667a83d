#include "program/structure.h"

#include <gmock/gmock.h>

#include "ir/toy_ops_for_test.h"

namespace musaic {
namespace {

using testing::ElementsAre;

class StructureTest : public testing::Test {
 protected:
  StructureTest() {
    define_toy_ops(registry_);
    registry_.define("toy::stop(Tensor x) -> Tensor",
                     {.schema = {}, .fake = fake_like_first, .is_break = true});
  }

  Value scaled(GraphBuilder& builder, Value x, double factor) {
    return builder.call("toy::scale", {x}, {{"factor", factor}})[0];
  }
  Value stopped(GraphBuilder& builder, Value x) { return builder.call("toy::stop", {x})[0]; }

  std::vector<int> classes(const Graph& graph) {
    return structure_classes(graph, split(graph, registry_, /*whole=*/false)).class_of;
  }

  OpRegistry registry_;
};

TEST_F(StructureTest, LayersThatDifferInTheirWeightsOnlyAreEqual) {
  GraphBuilder builder(registry_, "g", {});
  Value x = builder.input("x", DType::kF32, {Dim::symbol("tokens"), 8});
  for (const char* name : {"a", "b", "c"}) {
    const Value weight = builder.weight({name}, DType::kF32, {8});
    x = stopped(builder, builder.call("toy::add", {builder.call("toy::copy", {x})[0], weight})[0]);
  }
  builder.output("y", x);
  // The first piece reads an input of the graph, the others what a node gives.
  EXPECT_THAT(classes(builder.graph()), ElementsAre(0, 1, 2, 1, 2, 1));
}

TEST_F(StructureTest, AnotherAttributeTypeOrArgumentIsAnotherStructure) {
  GraphBuilder builder(registry_, "g", {});
  const Dim tokens = Dim::symbol("tokens");
  const auto input = [&](const char* name, int64_t width) {
    return stopped(builder, builder.input(name, DType::kF32, {tokens, width}));
  };
  const Value a = input("a", 8), b = input("b", 8), wide = input("wide", 16);
  const size_t begin = builder.graph().nodes.size();
  builder.call("toy::add", {a, b});
  builder.call("toy::add", {b, a});
  builder.call("toy::add", {a, a});
  builder.call("toy::add", {a});
  builder.call("toy::add", {wide, wide});
  scaled(builder, a, 2.0);
  scaled(builder, a, 3.0);
  std::vector<Segment> each;
  for (int i = static_cast<int>(begin); i < static_cast<int>(builder.graph().nodes.size()); ++i)
    each.push_back({false, i, i + 1});
  EXPECT_THAT(structure_classes(builder.graph(), each).class_of, ElementsAre(0, 0, 1, 2, 3, 4, 5));
}

TEST_F(StructureTest, EqualStructuresHaveEqualHashes) {
  GraphBuilder builder(registry_, "g", {});
  const Value x = builder.input("x", DType::kF32, {Dim::symbol("tokens"), 8});
  const Value y = builder.input("y", DType::kF32, {Dim::symbol("tokens"), 8});
  builder.call("toy::add", {x, y});
  builder.call("toy::add", {y, x});
  builder.call("toy::add", {x, x});
  const Graph& graph = builder.graph();
  EXPECT_EQ(structure_hash(graph, {false, 0, 1}), structure_hash(graph, {false, 1, 2}));
  EXPECT_NE(structure_hash(graph, {false, 0, 1}), structure_hash(graph, {false, 2, 3}));
}

TEST_F(StructureTest, ViewsAtDifferentPlacesAreDifferent) {
  GraphBuilder builder(registry_, "g", {});
  const Value x = builder.input("x", DType::kF32, {4, 8});
  const auto columns = [&](int64_t begin) {
    const Value view = builder.call("toy::columns", {x}, {{"begin", begin}, {"count", int64_t{2}}})[0];
    builder.call("toy::write_", {view, builder.call("toy::copy", {view})[0]});
  };
  columns(0);
  columns(2);
  EXPECT_FALSE(has_equal_structure(builder.graph(), {false, 0, 3}, {false, 3, 6}));
}

}  // namespace
}  // namespace musaic
