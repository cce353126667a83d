#include <gtest/gtest.h>

#include "ir/registry.h"
#include "ops/op_list.h"

namespace musaic {
namespace {

CostTensor tensor(DType dtype, Shape shape) {
  return {.present = true, .dtype = dtype, .shape = shape};
}

class OpCostTest : public testing::Test {
 protected:
  OpCostTest() { define_ops(registry_); }

  CallCost cost(const std::string& op, std::vector<CostTensor> inputs, std::vector<CostTensor> outputs,
                const Attributes& attributes = {}, StepExtent extent = {}) const {
    return cost_of_call(registry_.get(op), {inputs, outputs, attributes, extent});
  }

 private:
  OpRegistry registry_;
};

// Cache arguments of 2 heads of 8, then the step's metadata.
std::vector<CostTensor> attention_inputs(int64_t rows) {
  const CostTensor cache = tensor(DType::kF16, {100, 2, 16, 8});
  return {tensor(DType::kF32, {rows, 4 * 8}),
          cache,
          cache,
          tensor(DType::kI32, {9}),
          tensor(DType::kI32, {8}),
          tensor(DType::kI32, {8, 100}),
          tensor(DType::kI32, {1})};
}

TEST_F(OpCostTest, AttentionCountsThePositionsThatEachRowSees) {
  const int64_t sequences = 2;
  const int64_t rows = 5;
  const int64_t past = 7;
  const CallCost got =
      cost("musaic::paged_attention", attention_inputs(sequences * rows),
           {tensor(DType::kF32, {sequences * rows, 32})}, {}, {.sequences = sequences, .past = past});
  double operations = 0.0;
  for (int64_t sequence = 0; sequence < sequences; ++sequence) {
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t position = 0; position <= past + row; ++position) operations += 4 * (2 * 8) + 4 * (2 * 8);
    }
  }
  EXPECT_EQ(got.float_ops, operations);
  EXPECT_EQ(got.read[1], sequences * (past + rows) * 2 * 8) << "each cached key once";
  EXPECT_EQ(got.read[2], got.read[1]);
  EXPECT_EQ(got.read[5], sequences * 1) << "12 positions lie in one page of 16";
}

TEST_F(OpCostTest, EmbeddingReadsTheRowsOfItsTokensOnly) {
  const CallCost got = cost("aten::embedding", {tensor(DType::kF32, {1000, 64}), tensor(DType::kI32, {3})},
                            {tensor(DType::kF32, {3, 64})});
  EXPECT_EQ(got.read[0], 3 * 64);
  EXPECT_EQ(got.read[1], 3);
  EXPECT_EQ(got.float_ops, 0);
}

TEST_F(OpCostTest, AWriteToTheCacheReadsNothingOfIt) {
  const CostTensor cache = tensor(DType::kF16, {100, 2, 16, 8});
  const CallCost got =
      cost("musaic::rope_kv_write",
           {tensor(DType::kF32, {3, 32}), tensor(DType::kF32, {3, 16}), tensor(DType::kF32, {3, 16}),
            tensor(DType::kF32, {3, 8}), tensor(DType::kI32, {3}), cache, cache},
           {});
  EXPECT_EQ(got.read[5], 0);
  EXPECT_EQ(got.written[5], 3 * 16);
  EXPECT_EQ(got.written[6], 3 * 16);
  EXPECT_EQ(got.written[0], 3 * 32) << "the query turns in place";
}

TEST_F(OpCostTest, AnIntegerProductCountsTwoOperationsAMultiplyAdd) {
  const CallCost got = cost("musaic::linear_q8",
                            {tensor(DType::kI8, {3, 64}), tensor(DType::kF32, {3, 2}),
                             tensor(DType::kF32, {3, 2}), tensor(DType::kQ4_1, {5, 64}), CostTensor{}},
                            {tensor(DType::kF32, {3, 5})});
  EXPECT_EQ(got.int8_ops, 2 * 3 * 5 * 64);
  EXPECT_EQ(got.read[3], 5 * 64);
  EXPECT_EQ(got.read[4], 0) << "no bias";
}

TEST_F(OpCostTest, AnOpWithoutACostReadsAndWritesItsArgumentsWhole) {
  const CallCost got = cost("aten::add", {tensor(DType::kF32, {3, 4}), tensor(DType::kF32, {3, 4})},
                            {tensor(DType::kF32, {3, 4})});
  EXPECT_EQ(got.read[0], 12);
  EXPECT_EQ(got.read[1], 12);
  EXPECT_EQ(got.float_ops, 12);
}

}  // namespace
}  // namespace musaic
