#include "ops/mla_decode/mla_decode.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ops/op_list.h"
#include "ops/testing/against_parts.h"
#include "ops/testing/decode_step.h"
#include "ops/testing/run_op.h"
#include "ops/testing/test_device.h"

namespace musaic::testing {
namespace {

constexpr const char* kOp = "musaic::mla_decode_attention_fp8";
constexpr int kHeads = 16, kRank = 512, kRope = 64, kWidth = kRank + kRope, kValues = 128, kPageSize = 16;

// A decode step: sequence s, of kv_lengths[s] positions, has the rows and the pages of text ids[s].
OpCase make_step(const std::vector<int32_t>& kv_lengths, const std::vector<int>& ids, bool interleaved) {
  constexpr int kMaxPages = 2200 / kPageSize;
  const int rows = static_cast<int>(kv_lengths.size());
  const int texts = *std::max_element(ids.begin(), ids.end()) + 1;
  const DecodePages step(kv_lengths, ids, kMaxPages, kPageSize);
  return {.op = kOp,
          .inputs = {rows_of_texts(ids, kHeads * (128 + kRope), 1, 4), rows_of_texts(ids, kRank, 2),
                     rows_of_texts(ids, kRope, 3), rows_of_texts(ids, kRope, 4), TestTensor::ints(step.slots),
                     TestTensor::random(DType::kBF16, {texts * kMaxPages, 1, kPageSize, kWidth}, 5),
                     TestTensor::random(DType::kBF16, {kRank}, 6), TestTensor::ints(step.query_start),
                     TestTensor::ints(kv_lengths), TestTensor::ints(step.pages, {rows, kMaxPages}),
                     TestTensor::ints({rows}),
                     TestTensor::random(DType::kF8E4M3, {kHeads * 2 * kValues, kRank}, 7, 100),
                     TestTensor::random(DType::kF32, {kHeads * 2, kRank / 128}, 8, 0.001f)},
          .attributes = {{"head_dim", int64_t{128 + kRope}},
                         {"interleaved", interleaved},
                         {"eps", 1e-6},
                         {"num_heads", int64_t{kHeads}},
                         {"scale", 0.1},
                         {"v_head_dim", int64_t{kValues}}},
          .live_rows = rows};
}

class MlaDecode : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_kernel_here(registry_, kOp)) GTEST_SKIP() << "a fused op of Hopper GPUs";
  }
  void expect_parts(const std::vector<int32_t>& kv_lengths, bool interleaved) {
    const OpCase step = make_step(kv_lengths, one_text_each(kv_lengths.size()), interleaved);
    const OpRun run = check_op(registry_, step), parts = run_decomposition(registry_, step);
    expect_fp8_rows_near(run, parts, static_cast<int64_t>(kv_lengths.size()));
    constexpr size_t kCache = mla_decode::kCache;
    EXPECT_EQ(run.inputs[kCache].to_floats(), parts.inputs[kCache].to_floats());
  }

  const OpRegistry registry_ = cpu_registry();
};

TEST_F(MlaDecode, GivesWhatItsPartsGive) {
  for (bool interleaved : {false, true}) {
    expect_parts({1}, interleaved);
    expect_parts({2000}, interleaved);
    expect_parts({16, 1, 300, 17, 1030}, interleaved);
    expect_parts(std::vector<int32_t>(12, 200), interleaved);
    expect_parts(std::vector<int32_t>(19, 500), interleaved);
    expect_parts(std::vector<int32_t>(27, 310), interleaved);
    expect_parts(std::vector<int32_t>(40, 70), interleaved);
  }
}

TEST_F(MlaDecode, ARowsBitsDoNotDependOnItsNeighbours) {
  const std::vector<int32_t> lengths = {129, 1, 1100};
  const OpRun together = check_op(registry_, make_step(lengths, {0, 1, 2}, true));
  for (int s = 0; s < 3; ++s) {
    const OpRun alone = check_op(registry_, make_step({lengths[static_cast<size_t>(s)]}, {s}, true));
    for (size_t output : {0u, 1u})
      EXPECT_EQ(alone.outputs[output].row(0), together.outputs[output].row(s)) << "sequence " << s;
  }
}

TEST(MlaDecodeFake, GivesWhatItsDecompositionGives) {
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
  const std::vector<Value> inputs = {
      floats("query", kHeads * (128 + kRope)),
      floats("latent", kRank),
      floats("rope_key", kRope),
      floats("cos_sin", kRope),
      ints("slots", {tokens}),
      builder.state("cache", DType::kBF16, {Dim::symbol("pages"), 1, kPageSize, kWidth}),
      builder.weight({"norm"}, DType::kBF16, {kRank}),
      ints("query_start", {tokens + 1}),
      ints("kv_lengths", {tokens}),
      ints("page_table", {tokens, Dim::symbol("max_pages")}),
      ints("num_sequences", {1}),
      builder.weight({"kv_b"}, DType::kF8E4M3, {kHeads * 2 * kValues, kRank}),
      builder.weight({"scale"}, DType::kF32, {kHeads * 2, kRank / 128})};
  const Attributes attributes = make_step({1}, {0}, true).attributes;
  expect_outputs_of_parts(registry, builder, kOp, inputs, attributes);
}

}  // namespace
}  // namespace musaic::testing
