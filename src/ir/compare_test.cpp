#include "ir/compare.h"

#include <gmock/gmock.h>

#include <cmath>

#include "ir/toy_ops_for_test.h"

namespace musaic {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class CompareTest : public testing::Test {
 protected:
  CompareTest() {
    define_toy_ops(registry_);
    GraphBuilder builder(registry_, "extend", {"musa", 0});
    const Value x = builder.input("x", DType::kF32, {Dim::symbol("tokens"), 8});
    builder.weight({"q", "k"}, DType::kF32, {4, 8});
    builder.constant("table", DType::kI32, {1}, std::vector<std::byte>(4));
    const Value state = builder.state("cache", DType::kF32, {Dim::symbol("tokens"), 8});
    const Value view = builder.call("toy::columns", {x}, {{"begin", int64_t{2}}, {"count", int64_t{4}}})[0];
    const Value written = builder.call("toy::write_", {state, view})[0];
    builder.output("y", builder.call("toy::scale", {written}, {{"factor", 0.5}})[0]);
    graph_ = builder.take();
    changed_ = graph_;
  }

  std::vector<std::string> found() const { return differences(graph_, changed_); }

  OpRegistry registry_;
  Graph graph_;
  Graph changed_;
};

TEST_F(CompareTest, AGraphEqualsItsCopy) {
  changed_.values[2].constant = std::make_shared<const std::vector<std::byte>>(std::vector<std::byte>(4));
  EXPECT_THAT(found(), IsEmpty());
}

TEST_F(CompareTest, NamesWhatDiffersInTheGraphItself) {
  changed_.name = "decode";
  changed_.device = {"cuda", 1};
  changed_.outputs[0] = {"z", 0};
  EXPECT_THAT(found(), ElementsAre("graph: name is extend, not decode", "graph: device is musa:0, not cuda:1",
                                   "output 0: name is y, not z", "output 0: value is 6, not 0"));
}

TEST_F(CompareTest, NamesMissingNodesAndValues) {
  changed_.nodes.pop_back();
  changed_.values.pop_back();
  changed_.outputs.clear();
  EXPECT_THAT(found(),
              ElementsAre("graph: number of values is 7, not 6", "graph: number of nodes is 3, not 2",
                          "graph: number of outputs is 1, not 0"));
}

TEST_F(CompareTest, NamesWhatDiffersInAValue) {
  GraphValue& view = changed_.values[4];
  view.meta.strides[0] = 4;
  view.meta.device.index = 2;
  view.storage = 4;
  view.offset = Dim::symbol("tokens");
  EXPECT_THAT(found(),
              ElementsAre("value %4: type is f32[tokens, 4] strides [8, 1] musa:0, not f32[tokens, 4] "
                          "strides [4, 1] musa:2",
                          "value %4: storage is 0, not 4", "value %4: offset is 2, not tokens"));
}

TEST_F(CompareTest, NamesWhatDiffersInALeaf) {
  changed_.values[0].kind = ValueKind::kState;
  changed_.values[1].name = "q";
  changed_.values[1].weight_parts = {"q"};
  changed_.values[2].constant = nullptr;
  EXPECT_THAT(found(), ElementsAre("value %0: kind is input, not state", "value %1: name is q+k, not q",
                                   "value %1: list of parts is ['q', 'k'], not ['q']",
                                   "value %2: the constants' bytes differ"));
}

TEST_F(CompareTest, NamesWhatDiffersInANode) {
  Node& node = changed_.nodes[1];
  node.op = "toy::copy";
  node.inputs = {3, 3};
  node.outputs = {5};
  node.mutations[0].input = 1;
  EXPECT_THAT(found(), ElementsAre("node 1: operator is toy::write_, not toy::copy",
                                   "node 1: inputs is [3, 4], not [3, 3]", "node 1: outputs is [], not [5]",
                                   "node 1: mutations is [0 -> %5], not [1 -> %5]"));
}

TEST_F(CompareTest, NamesArgumentsThatDiffer) {
  changed_.nodes[0].attributes.set("begin", 2.0);
  changed_.nodes[0].attributes.set("more", true);
  changed_.nodes[2].attributes = {{"factor", 0.25}};
  EXPECT_THAT(found(), ElementsAre("node 0: argument begin is 2, not 2.0",
                                   "node 0: argument more is missing in the first",
                                   "node 2: argument factor is 0.5, not 0.25",
                                   "node 2: argument twice is missing in the second"));
}

TEST_F(CompareTest, ComparesFloatsByTheirBits) {
  graph_.nodes[2].attributes.set("factor", 0.0);
  changed_.nodes[2].attributes.set("factor", -0.0);
  EXPECT_THAT(found(), ElementsAre("node 2: argument factor is 0.0, not -0.0"));
  graph_.nodes[2].attributes.set("factor", std::nan(""));
  changed_.nodes[2].attributes.set("factor", std::nan(""));
  EXPECT_THAT(found(), IsEmpty());
}

}  // namespace
}  // namespace musaic
