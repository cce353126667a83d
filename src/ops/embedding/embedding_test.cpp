#include "ops/embedding/embedding.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "base/status.h"
#include "formats/mapped_file.h"
#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

// Stored blocks and the values that the gguf package reads from them.
struct Oracle {
  std::vector<std::byte> stored;
  std::vector<float> values;
};

Oracle read_oracle(DType dtype) {
  const MappedFile file(std::filesystem::path(MUSAIC_TEST_DATA) / "formats" /
                        (std::string(name(dtype)) + ".bin"));
  uint32_t sizes[2];
  std::memcpy(sizes, file.bytes().data(), sizeof(sizes));
  const auto stored = file.bytes().subspan(sizeof(sizes), sizes[1]);
  Oracle oracle{{stored.begin(), stored.end()}, std::vector<float>(sizes[0])};
  std::memcpy(oracle.values.data(), stored.data() + stored.size(), oracle.values.size() * sizeof(float));
  return oracle;
}

class EmbeddingOfQuantized : public ::testing::TestWithParam<DType> {};

TEST_P(EmbeddingOfQuantized, ReadsRowsAsTheOracleDoes) {
  const Oracle oracle = read_oracle(GetParam());
  const int64_t columns = dtype_info(GetParam()).block_elements;
  const int64_t vocab = static_cast<int64_t>(oracle.values.size()) / columns;
  ASSERT_GE(vocab, 2);
  const std::vector<int32_t> indices = {static_cast<int32_t>(vocab - 1), 0, 1, 0, 0};
  TestTensor index_rows = TestTensor::ints(indices);
  index_rows.poison_rows(4);
  const OpRegistry registry = cpu_registry();
  const OpRun run = check_op(
      registry, {.op = "aten::embedding",
                 .inputs = {TestTensor::raw(GetParam(), {vocab, columns}, oracle.stored), index_rows},
                 .attributes = {},
                 .live_rows = 4});
  for (int row = 0; row < 4; ++row) {
    const std::vector<float> got = run.outputs[0].row(row);
    const int64_t first = indices[static_cast<size_t>(row)] * columns;
    for (int64_t k = 0; k < columns; ++k)
      EXPECT_EQ(got[static_cast<size_t>(k)], oracle.values[static_cast<size_t>(first + k)]);
  }
}

INSTANTIATE_TEST_SUITE_P(Types, EmbeddingOfQuantized,
                         ::testing::Values(DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,
                                           DType::kQ5_1, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K),
                         [](const auto& type) { return std::string(name(type.param)); });

TEST_P(EmbeddingOfQuantized, ReadsAHeadsPackedCopyWithTheBitsOfTheFile) {
  constexpr int64_t kVocab = 37;  // the last panel has 5 columns of 16
  const TestTensor weight = TestTensor::random(GetParam(), {kVocab, 512}, 3);
  const OpRegistry registry = cpu_registry();
  const OpCase file = {.op = "aten::embedding",
                       .inputs = {weight, TestTensor::ints({36, 0, 15, 16, 31, 32, 0, 20})},
                       .attributes = {}};
  OpCase packed = file;
  packed.kernel = "embedding_packed_" + std::string(name(GetParam())) + "_cpu";
  const OpRun expected = check_op(registry, file);
  const OpRun got = check_op(registry, packed);
  for (int64_t row = 0; row < 8; ++row) {
    const std::vector<float> a = got.outputs[0].row(row), b = expected.outputs[0].row(row);
    EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0) << "row " << row;
  }
}

TEST(Embedding, ReadsFloatRowsOfEveryWidth) {
  const OpRegistry registry = cpu_registry();
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const TestTensor weight = TestTensor::random(dtype, {9, 21}, 1);
    const std::vector<int32_t> indices = {8, 0, 3, 3};
    const OpRun run = check_op(
        registry, {.op = "aten::embedding", .inputs = {weight, TestTensor::ints(indices)}, .attributes = {}});
    for (int64_t i = 0; i < 4; ++i)
      EXPECT_EQ(run.outputs[0].row(i), weight.row(indices[static_cast<size_t>(i)]));
  }
}

TEST(Embedding, RefusesAWeightOfIntegers) {
  const OpRegistry registry = cpu_registry();
  EXPECT_THROW(run_op(registry, {.op = "aten::embedding",
                                 .inputs = {TestTensor(DType::kI32, {4, 8}), TestTensor::ints({1})},
                                 .attributes = {}}),
               LoadError);
}

}  // namespace
}  // namespace musaic::testing
