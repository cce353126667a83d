#include "ops/attention_out/attention_out.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ops/op_list.h"
#include "ops/testing/against_parts.h"
#include "ops/testing/decode_step.h"
#include "ops/testing/run_op.h"
#include "ops/testing/test_device.h"

namespace musaic::testing {
namespace {

constexpr const char* kOp = "musaic::attention_out_";
constexpr int kHeadDim = 64, kPageSize = 16;

struct Layout {
  int heads;
  int kv_heads;
  int hidden;
};
constexpr Layout kNine{9, 3, 576};

// A decode step: sequence s, of kv_lengths[s] positions, has the rows and the pages of text ids[s].
OpCase make_step(const Layout& layout, const std::vector<int32_t>& kv_lengths, const std::vector<int>& ids,
                 bool interleaved) {
  const int rows = static_cast<int>(kv_lengths.size()), kv_width = layout.kv_heads * kHeadDim;
  const int max_pages = 1600 / kPageSize, texts = *std::max_element(ids.begin(), ids.end()) + 1;
  const auto rows_of = [&](int width, uint32_t seed) { return rows_of_texts(ids, width, seed); };
  const DecodePages step(kv_lengths, ids, max_pages, kPageSize);
  const Shape cache{texts * max_pages, layout.kv_heads, kPageSize, kHeadDim};
  return {
      .op = kOp,
      .inputs = {rows_of(layout.hidden, 1), rows_of(layout.heads * kHeadDim, 2), rows_of(kv_width, 3),
                 rows_of(kv_width, 4), rows_of(kHeadDim, 5), TestTensor::ints(step.slots),
                 TestTensor::random(DType::kBF16, cache, 6), TestTensor::random(DType::kBF16, cache, 7),
                 TestTensor::ints(step.query_start), TestTensor::ints(kv_lengths),
                 TestTensor::ints(step.pages, {rows, max_pages}), TestTensor::ints({rows}),
                 TestTensor::random(DType::kBF16, {layout.hidden, layout.heads * kHeadDim}, 8, 0.1f)},
      .attributes = {{"num_heads", int64_t{layout.heads}}, {"scale", 0.125}, {"interleaved", interleaved}},
      .live_rows = rows};
}

class AttentionOut : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_kernel_here(registry_, kOp)) GTEST_SKIP() << "a fused op of Hopper GPUs";
  }
  void expect_parts(const Layout& layout, const std::vector<int32_t>& kv_lengths, bool interleaved) {
    const OpCase step = make_step(layout, kv_lengths, one_text_each(kv_lengths.size()), interleaved);
    const OpRun run = check_op(registry_, step), parts = run_decomposition(registry_, step);
    for (int64_t row = 0; row < static_cast<int64_t>(kv_lengths.size()); ++row) {
      const std::vector<float> got = run.inputs[0].row(row), expected = parts.inputs[0].row(row);
      // Queries, weights and attended rows are rounded to bf16, where sums fall to either side.
      for (size_t i = 0; i < got.size(); ++i)
        ASSERT_NEAR(got[i], expected[i], 1e-2)
            << kv_lengths[static_cast<size_t>(row)] << " positions, value " << i;
    }
    for (size_t cache : {6u, 7u}) EXPECT_EQ(run.inputs[cache].to_floats(), parts.inputs[cache].to_floats());
  }

  const OpRegistry registry_ = cpu_registry();
};

TEST_F(AttentionOut, GivesWhatItsPartsGive) {
  for (bool interleaved : {false, true}) {
    expect_parts(kNine, {1}, interleaved);
    expect_parts(kNine, {16, 1, 300, 17, 65}, interleaved);
    expect_parts(kNine, {1500}, interleaved);
    expect_parts({14, 2, 896}, {33, 1, 700}, interleaved);
    expect_parts(kNine, std::vector<int32_t>(40, 30), interleaved);
  }
}

TEST_F(AttentionOut, ARowsBitsDoNotDependOnItsNeighbours) {
  const std::vector<int32_t> lengths = {129, 1, 600};
  const OpRun together = check_op(registry_, make_step(kNine, lengths, {0, 1, 2}, false));
  for (int s = 0; s < 3; ++s) {
    const OpRun alone = check_op(registry_, make_step(kNine, {lengths[static_cast<size_t>(s)]}, {s}, false));
    EXPECT_EQ(alone.inputs[0].row(0), together.inputs[0].row(s)) << "sequence " << s;
  }
}

TEST(AttentionOutFake, GivesWhatItsDecompositionGives) {
  OpRegistry registry;
  define_ops(registry);
  define_gpu_ops(registry);
  GraphBuilder builder(registry, "g", {"musa", 0});
  const Dim tokens = Dim::symbol("tokens");
  const auto floats = [&](const char* name, int64_t width) {
    return builder.input(name, DType::kF32, {tokens, width});
  };
  const auto ints = [&](const char* name, DimShape shape) {
    return builder.input(name, DType::kI32, std::move(shape));
  };
  const DimShape cache = {Dim::symbol("pages"), 3, kPageSize, kHeadDim};
  const std::vector<Value> inputs = {floats("residual", 576),
                                     floats("query", 576),
                                     floats("key", 192),
                                     floats("value", 192),
                                     floats("cos_sin", kHeadDim),
                                     ints("slots", {tokens}),
                                     builder.state("keys", DType::kBF16, cache),
                                     builder.state("values", DType::kBF16, cache),
                                     ints("query_start", {tokens + 1}),
                                     ints("kv_lengths", {tokens}),
                                     ints("page_table", {tokens, Dim::symbol("max_pages")}),
                                     ints("num_sequences", {1}),
                                     builder.weight({"weight"}, DType::kBF16, {576, 576})};
  const Attributes attributes = {{"num_heads", int64_t{9}}, {"scale", 0.125}, {"interleaved", false}};
  expect_outputs_of_parts(registry, builder, kOp, inputs, attributes);
}

}  // namespace
}  // namespace musaic::testing
