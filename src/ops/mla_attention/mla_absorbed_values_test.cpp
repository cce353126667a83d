#include "ops/mla_attention/mla_absorbed_values.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ops/op_list.h"
#include "ops/testing/against_parts.h"
#include "ops/testing/run_op.h"
#include "ops/testing/test_device.h"

namespace musaic::testing {
namespace {

constexpr const char* kOp = "musaic::mla_absorbed_values_fp8";
constexpr int kHeads = 16, kRank = 512, kWidth = 576, kValues = 128, kPageSize = 16;

// A decode step of sequences with so many cached positions.
OpCase decode_step(const std::vector<int32_t>& kv_lengths) {
  const int sequences = static_cast<int>(kv_lengths.size());
  const int max_pages = (*std::max_element(kv_lengths.begin(), kv_lengths.end()) + kPageSize - 1) / kPageSize;
  std::vector<int32_t> query_start(kv_lengths.size() + 1), pages(kv_lengths.size() * max_pages);
  std::iota(query_start.begin(), query_start.end(), 0);
  std::iota(pages.begin(), pages.end(), 0);
  return {
      .op = kOp,
      .inputs = {TestTensor::random(DType::kF32, {sequences, kHeads * kWidth}, 1),
                 TestTensor::random(DType::kBF16, {sequences * max_pages, 1, kPageSize, kWidth}, 2),
                 TestTensor::ints(query_start, {sequences + 1}), TestTensor::ints(kv_lengths, {sequences}),
                 TestTensor::ints(pages, {sequences, max_pages}), TestTensor::ints({sequences}, {1}),
                 TestTensor::random(DType::kF8E4M3, {kHeads * 2 * kValues, kRank}, 3, 100),
                 TestTensor::random(DType::kF32, {kHeads * 2, kRank / 128}, 4, 0.01f)},
      .attributes = {{"num_heads", int64_t{kHeads}},
                     {"scale", 0.05},
                     {"rank", int64_t{kRank}},
                     {"v_head_dim", int64_t{kValues}}}};
}

TEST(MlaAbsorbedValuesFp8, GivesWhatItsPartsGive) {
  const OpRegistry registry = cpu_registry();
  if (!has_kernel_here(registry, kOp)) GTEST_SKIP() << "the tests' device has no kernel for it";
  for (const std::vector<int32_t>& kv_lengths : {std::vector<int32_t>{1}, {70, 1, 900, 64}}) {
    const OpCase op_case = decode_step(kv_lengths);
    const OpRun run = check_op(registry, op_case), parts = run_decomposition(registry, op_case);
    expect_fp8_rows_near(run, parts, static_cast<int64_t>(kv_lengths.size()));
  }
}

TEST(MlaAbsorbedValuesFp8, ItsFakeGivesWhatItsDecompositionGives) {
  OpRegistry registry;
  define_ops(registry);
  define_gpu_ops(registry);
  GraphBuilder builder(registry, "g", {"musa", 0});
  const Dim tokens = Dim::symbol("tokens");
  const auto ints = [&](const char* name, DimShape shape) {
    return builder.input(name, DType::kI32, std::move(shape));
  };
  const std::vector<Value> inputs = {
      builder.input("query", DType::kF32, {tokens, kHeads * kWidth}),
      builder.state("cache", DType::kBF16, {Dim::symbol("pages"), 1, kPageSize, kWidth}),
      ints("query_start", {tokens + 1}),
      ints("kv_lengths", {tokens}),
      ints("page_table", {tokens, Dim::symbol("max_pages")}),
      ints("num_sequences", {1}),
      builder.weight({"kv_b"}, DType::kF8E4M3, {kHeads * 2 * kValues, kRank}),
      builder.weight({"scale"}, DType::kF32, {kHeads * 2, kRank / 128})};
  const Attributes attributes = {{"num_heads", int64_t{kHeads}},
                                 {"scale", 0.05},
                                 {"rank", int64_t{kRank}},
                                 {"v_head_dim", int64_t{kValues}}};
  expect_outputs_of_parts(registry, builder, kOp, inputs, attributes);
}

}  // namespace
}  // namespace musaic::testing
