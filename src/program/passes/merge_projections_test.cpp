#include <gmock/gmock.h>

#include "ops/add/add.h"
#include "ops/fake_checks.h"
#include "ops/linear/linear.h"
#include "ops/linear_fp8/linear_fp8.h"
#include "program/passes/pass_fixture_for_test.h"

namespace musaic {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class MergeProjections : public PassesTest {
 protected:
  // "weight & bias" of every linear, in order.
  static std::vector<std::string> linears(const Graph& graph) {
    std::vector<std::string> found;
    for (const Node& node : graph.nodes) {
      const bool is_fp8 = node.op == "musaic::linear_fp8";
      if (node.op != "aten::linear" && node.op != "musaic::linear_q8" && !is_fp8) continue;
      const size_t weight = node.inputs.size() - (is_fp8 ? 3 : 2);
      std::string text = graph.values[node.inputs[weight]].name;
      if (node.inputs.back() != kNoValue) text += " & " + graph.values[node.inputs.back()].name;
      found.push_back(text);
    }
    return found;
  }

  Graph merged(GraphBuilder& builder, PassReport* report = nullptr) {
    return run(builder.take(), target_without({}), merge_projections, report);
  }

  Value weight(GraphBuilder& builder, const char* name, DType dtype, int64_t out) {
    return builder.weight({name}, dtype, {out, 64});
  }

  Value bias(GraphBuilder& builder, const char* name, DType dtype, int64_t out) {
    return builder.weight({name}, dtype, {out});
  }

  static std::vector<std::string> reasons(const PassReport& report) {
    std::vector<std::string> texts;
    for (const PassNote& note : report.left) texts.push_back(note.text);
    return texts;
  }
};

TEST_F(MergeProjections, LinearsOfOneInputRunAsOneAndEachKeepsItsColumns) {
  GraphBuilder builder(registry_, "g", {});
  const Value x = tokens_by(builder, "x", 64);
  const Value a = linear(x, weight(builder, "a", DType::kF16, 32), bias(builder, "ab", DType::kF32, 32));
  const Value b = linear(x, weight(builder, "b", DType::kF16, 16), bias(builder, "bb", DType::kF32, 16));
  builder.output("a2", add(a, a));
  builder.output("b2", add(b, b));
  PassReport report;
  const Graph graph = merged(builder, &report);
  EXPECT_THAT(linears(graph), ElementsAre("a+b & ab+bb"));
  EXPECT_EQ(to_string(graph.values[graph.find("a+b")].meta), "f16[48, 64] cpu");
  ASSERT_EQ(graph.nodes[2].op, "aten::slice");
  EXPECT_EQ(graph.nodes[2].attributes.get_int("start"), 32);
  EXPECT_EQ(report.rewrites, 1);
  EXPECT_THAT(reasons(report), IsEmpty());
}

TEST_F(MergeProjections, Fp8LinearsMergeWithTheirScalesWhereBlocksStayWhole) {
  GraphBuilder builder(registry_, "g", {});
  const auto fp8_linears = [&](const char* input, std::vector<std::pair<std::string, int64_t>> weights) {
    const Fp8Rows x = quantize_fp8(tokens_by(builder, input, 64));
    for (const auto& [name, out] : weights) {
      const Value y =
          linear_fp8(x, builder.weight({name}, DType::kF8E4M3, {out, 64}),
                     builder.weight({name + "_scale"}, DType::kF32, {ceil_div(Dim(out), 128), 1}));
      builder.output(name + "2", add(y, y));
    }
  };
  fp8_linears("x", {{"a", 256}, {"b", 192}});
  fp8_linears("y", {{"c", 192}, {"d", 128}});
  PassReport report;
  const Graph graph = merged(builder, &report);
  EXPECT_THAT(linears(graph), ElementsAre("a+b", "c", "d"));
  EXPECT_EQ(to_string(graph.values[graph.find("a_scale+b_scale")].meta), "f32[4, 1] cpu");
  EXPECT_THAT(reasons(report), ElementsAre("the rows of the weight before it end inside a block of scales"));
}

TEST_F(MergeProjections, QuantizedLinearsMergeWhereTypesAgreeAndTheReportNamesTheOthers) {
  GraphBuilder builder(registry_, "g", {});
  const QuantizedRows x = quantize_q8(tokens_by(builder, "x", 64));
  const Value a = linear_q8(x, weight(builder, "a", DType::kQ4_1, 32));
  const Value b = linear_q8(x, weight(builder, "b", DType::kQ8_0, 32));
  const Value c = linear_q8(x, weight(builder, "c", DType::kQ4_1, 32));
  builder.output("y", add(add(a, b), c));
  PassReport report;
  EXPECT_THAT(linears(merged(builder, &report)), ElementsAre("a+c", "b"));
  EXPECT_THAT(reasons(report),
              ElementsAre("its weight or bias has another type than those of the same input"));
}

TEST_F(MergeProjections, BiasesOfDifferentTypesKeepTheirProjectionsApart) {
  GraphBuilder builder(registry_, "g", {});
  const Value x = tokens_by(builder, "x", 64);
  const Value a = linear(x, weight(builder, "a", DType::kF32, 32), bias(builder, "ab", DType::kF32, 32));
  const Value b = linear(x, weight(builder, "b", DType::kF32, 32), bias(builder, "bb", DType::kF16, 32));
  const Value c = linear(x, weight(builder, "c", DType::kF32, 32));
  builder.output("y", add(add(a, b), c));
  EXPECT_THAT(linears(merged(builder)), ElementsAre("a & ab", "b & bb", "c"));
}

TEST_F(MergeProjections, AWeightThatIsReadElsewhereStays) {
  GraphBuilder builder(registry_, "g", {});
  const Value x = tokens_by(builder, "x", 64);
  const Value y = tokens_by(builder, "y", 64);
  const Value shared = weight(builder, "shared", DType::kF32, 32);
  builder.output(
      "z", add(add(linear(x, shared), linear(x, weight(builder, "a", DType::kF32, 32))), linear(y, shared)));
  EXPECT_EQ(linears(merged(builder)).size(), 3u);
}

TEST_F(MergeProjections, AnOutputOfTheGraphOrAReaderOfWholeRowsKeepsThemApart) {
  registry_.define("test::whole(Tensor x) -> Tensor",
                   {.schema = {}, .fake = [](const FakeCall& call) {
                      expect_contiguous(call, 0);
                      return std::vector<FakeOutput>{{.meta = call.input(0)}};
                    }});
  GraphBuilder builder(registry_, "g", {});
  const Value x = tokens_by(builder, "x", 64);
  const Value y = tokens_by(builder, "y", 64);
  const Value a = linear(x, weight(builder, "a", DType::kF32, 32));
  builder.output("a", a);
  const Value b = linear(x, weight(builder, "b", DType::kF32, 32));
  builder.output("b2", add(b, b));
  const Value c = linear(y, weight(builder, "c", DType::kF32, 32));
  const Value d = linear(y, weight(builder, "d", DType::kF32, 32));
  builder.output("d2", add(d, d));
  builder.output("c2", builder.call("test::whole", {c})[0]);
  PassReport report;
  EXPECT_THAT(linears(merged(builder, &report)), ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(reasons(report), ElementsAre("its result is an output of the graph",
                                           "a reader of its result needs the rows next to each other"));
}

TEST_F(MergeProjections, ADeviceWithoutTheMergedKernelKeepsThemApart) {
  GraphBuilder builder(registry_, "g", {});
  const Value x = tokens_by(builder, "x", 64);
  const Value a = linear(x, weight(builder, "a", DType::kF32, 32));
  const Value b = linear(x, weight(builder, "b", DType::kF32, 32));
  builder.output("y", add(a, b));
  const Target target = target_without({"aten::linear"});
  registry_.add_kernel(
      "aten::linear",
      {.name = "narrow",
       .device_type = "cpu",
       .supports = [](const KernelQuery& query) { return query.inputs[1]->shape[0] == Dim(32); },
       .run = run_nothing});
  PassReport report;
  EXPECT_THAT(linears(run(builder.take(), target, merge_projections, &report)), ElementsAre("a", "b"));
  EXPECT_THAT(reasons(report), ElementsAre("cpu has no aten::linear for the merged weight"));
}

}  // namespace
}  // namespace musaic
