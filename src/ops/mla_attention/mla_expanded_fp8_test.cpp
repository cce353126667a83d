#include "ops/mla_attention/mla_expanded_fp8.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ops/op_list.h"
#include "ops/testing/against_parts.h"
#include "ops/testing/run_op.h"
#include "ops/testing/test_device.h"
#include "tensor/half.h"

namespace musaic::testing {
namespace {

constexpr const char* kOp = "musaic::mla_expanded_attention_fp8";
constexpr int kHeads = 2, kRank = 512, kWidth = 576, kHeadDim = 192, kValues = 128, kPageSize = 16;
const Attributes kAttributes = {{"num_heads", int64_t{kHeads}}, {"scale", 0.05}};

// Sequences of so many cached positions, the last `rows` of them in the step.
OpCase extend_step(const std::vector<int32_t>& rows, const std::vector<int32_t>& kv_lengths) {
  const int sequences = static_cast<int>(rows.size());
  const int max_pages = (*std::max_element(kv_lengths.begin(), kv_lengths.end()) + kPageSize - 1) / kPageSize;
  std::vector<int32_t> query_start = {0}, pages(rows.size() * max_pages);
  for (int32_t count : rows) query_start.push_back(query_start.back() + count);
  std::iota(pages.begin(), pages.end(), 0);
  return {.op = kOp,
          .inputs = {TestTensor::random(DType::kF32, {query_start.back(), kHeads * kHeadDim}, 1),
                     TestTensor::random(DType::kBF16, {sequences * max_pages, 1, kPageSize, kWidth}, 2),
                     TestTensor::ints(query_start), TestTensor::ints(kv_lengths),
                     TestTensor::ints(pages, {sequences, max_pages}), TestTensor::ints({sequences}),
                     TestTensor::random(DType::kF8E4M3, {kHeads * 2 * kValues, kRank}, 3, 100),
                     TestTensor::random(DType::kF32, {kHeads * 2, kRank / 128}, 4, 0.01f)},
          .attributes = kAttributes};
}

// One group of 128.
void expect_quantized(const std::vector<float>& row, size_t begin, const std::vector<float>& q, float scale,
                      const std::string& what) {
  float largest = 1e-10f;
  for (size_t i = begin; i < begin + 128; ++i) largest = std::max(largest, std::abs(row[i]));
  ASSERT_EQ(scale, largest / 448.0f) << what;
  for (size_t i = begin; i < begin + 128; ++i) {
    const float held = std::clamp(row[i] / scale, -448.0f, 448.0f);
    ASSERT_EQ(q[i], f8e4m3_to_float(float_to_f8e4m3(held))) << what << ", value " << i;
  }
}

TEST(MlaExpandedAttentionFp8, QuantizesWhatAttentionGives) {
  const OpRegistry registry = cpu_registry();
  if (!has_kernel_here(registry, kOp)) GTEST_SKIP() << "the tests' device has no kernel for it";
  for (int first : {1, 70, 1100}) {
    OpCase op_case = extend_step({first, 3, 65}, {first, 200, 130});
    const OpRun run = check_op(registry, op_case);
    op_case.op = "musaic::mla_expanded_attention";
    const OpRun attention = run_op(registry, op_case);
    for (int row = 0; row < first + 68; ++row) {
      for (size_t head = 0; head < kHeads; ++head)
        expect_quantized(attention.outputs[0].row(row), head * kValues, run.outputs[0].row(row),
                         run.outputs[1].row(row)[head], "row " + std::to_string(row));
    }
  }
}

TEST(MlaExpandedAttentionFp8, ItsFakeGivesWhatItsDecompositionGives) {
  OpRegistry registry;
  define_ops(registry);
  define_gpu_ops(registry);
  GraphBuilder builder(registry, "g", {"musa", 0});
  const Dim tokens = Dim::symbol("tokens"), sequences = Dim::symbol("sequences");
  const auto ints = [&](const char* name, DimShape shape) {
    return builder.input(name, DType::kI32, std::move(shape));
  };
  const std::vector<Value> inputs = {
      builder.input("query", DType::kF32, {tokens, kHeads * kHeadDim}),
      builder.state("cache", DType::kBF16, {Dim::symbol("pages"), 1, kPageSize, kWidth}),
      ints("query_start", {sequences + 1}),
      ints("kv_lengths", {sequences}),
      ints("page_table", {sequences, Dim::symbol("max_pages")}),
      ints("num_sequences", {1}),
      builder.weight({"kv_b"}, DType::kF8E4M3, {kHeads * 2 * kValues, kRank}),
      builder.weight({"scale"}, DType::kF32, {kHeads * 2, kRank / 128})};
  expect_outputs_of_parts(registry, builder, kOp, inputs, kAttributes);
}

}  // namespace
}  // namespace musaic::testing
