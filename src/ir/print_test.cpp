#include <gtest/gtest.h>

#include "ir/toy_ops_for_test.h"

namespace musaic {
namespace {

TEST(Print, ShowsLeavesNodesViewsWritesAndOutputs) {
  OpRegistry registry;
  define_toy_ops(registry);
  registry.define("toy::seed(int n) -> ()", {.schema = {}, .fake = fake_nothing});
  GraphBuilder builder(registry, "extend", {"musa", 0});
  const Dim tokens = Dim::symbol("tokens");
  const Value x = builder.input("x", DType::kF32, {tokens, 8});
  builder.weight({"q", "k"}, DType::kQ4_1, {64, 32});
  builder.constant("table", DType::kI32, {1}, std::vector<std::byte>(4));
  const Value state = builder.state("cache", DType::kF16, {tokens, 8});
  const Value view = builder.call("toy::columns", {x}, {{"begin", int64_t{2}}, {"count", int64_t{4}}})[0];
  const Value sum = builder.call("toy::add", {view})[0];
  const Value written = builder.call("toy::write_", {state, sum})[0];
  builder.call("toy::seed", std::initializer_list<Value>{}, {{"n", int64_t{7}}});
  builder.output("y", builder.call("toy::scale", {written}, {{"factor", 0.5}})[0]);
  builder.output("same", x);
  EXPECT_EQ(print(builder.graph()),
            "graph extend on musa:0 {\n"
            "  input @x: f32[tokens, 8] musa:0\n"
            "  weight @q+k: q4_1[64, 32] musa:0\n"
            "  constant @table: i32[1] musa:0 = bytes '00000000'\n"
            "  state @cache: f16[tokens, 8] musa:0\n"
            "  %4: f32[tokens, 4] strides [8, 1] musa:0 in @x + 2 = toy::columns(@x, begin=2, count=4)\n"
            "  %5: f32[tokens, 4] strides [8, 1] musa:0 = toy::add(%4, None)\n"
            "  toy::write_(@cache, %5) ! @cache -> %6\n"
            "  toy::seed(n=7)\n"
            "  %7: f16[tokens, 8] musa:0 = toy::scale(%6, factor=0.5, twice=False)\n"
            "  output y = %7\n"
            "  output same = @x\n"
            "}\n");
}

TEST(Graph, FindsLeavesByNameAndOutputsByTheirs) {
  OpRegistry registry;
  define_toy_ops(registry);
  GraphBuilder builder(registry, "g", {});
  const Value x = builder.input("x", DType::kF32, {4});
  const Value y = builder.call("toy::copy", {x})[0];
  builder.output("y", y);
  const Graph graph = builder.take();
  EXPECT_EQ(graph.find("x"), x.id());
  EXPECT_EQ(graph.find(std::to_string(y.id())), kNoValue) << "a node's number is no name";
  EXPECT_EQ(graph.output("y"), y.id());
  EXPECT_DEATH(graph.output("z"), "graph g has no output z");
}

}  // namespace
}  // namespace musaic
