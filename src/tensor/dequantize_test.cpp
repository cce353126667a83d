#include "tensor/dequantize.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "formats/mapped_file.h"
#include "tensor/half.h"

namespace musaic {
namespace {

struct Oracle {
  explicit Oracle(DType dtype)
      : file(std::filesystem::path(MUSAIC_TEST_DATA) / "formats" / (std::string(name(dtype)) + ".bin")) {
    uint32_t sizes[2];
    std::memcpy(sizes, file.bytes().data(), sizeof(sizes));
    stored = file.bytes().subspan(sizeof(sizes), sizes[1]);
    values.resize(sizes[0]);
    std::memcpy(values.data(), stored.data() + stored.size(), values.size() * sizeof(float));
  }
  MappedFile file;
  std::span<const std::byte> stored;
  std::vector<float> values;
};

class DequantizeRow : public ::testing::TestWithParam<DType> {};

TEST_P(DequantizeRow, EqualsTheOracleBitForBit) {
  const Oracle oracle(GetParam());
  const auto count = static_cast<int64_t>(oracle.values.size());
  ASSERT_EQ(oracle.stored.size(), byte_size(GetParam(), count));
  std::vector<float> values(oracle.values.size());
  dequantize_row(GetParam(), oracle.stored.data(), values.data(), count);
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], oracle.values[i]) << "value " << i;
}

INSTANTIATE_TEST_SUITE_P(AllTypes, DequantizeRow,
                         ::testing::Values(DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,
                                           DType::kQ5_1, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K,
                                           DType::kBF16, DType::kF16),
                         [](const auto& info) { return std::string(name(info.param)); });

TEST(DequantizeRowPlain, CopiesF32AndConvertsF8) {
  const float source[3] = {1.5f, -2.0f, 1e30f};
  float values[3];
  dequantize_row(DType::kF32, reinterpret_cast<const std::byte*>(source), values, 3);
  EXPECT_EQ(std::memcmp(values, source, sizeof(source)), 0);
  const uint8_t f8[3] = {0x38, 0xFE, 0x01};  // by the format: 1, -448, 2^-9
  dequantize_row(DType::kF8E4M3, reinterpret_cast<const std::byte*>(f8), values, 3);
  EXPECT_EQ(values[0], 1.0f);
  EXPECT_EQ(values[1], -448.0f);
  EXPECT_EQ(values[2], 0x1p-9f);
}

TEST(DequantizeRowPlain, AnIntegerTypeIsABug) {
  float value;
  const std::byte source[8] = {};
  EXPECT_DEATH(dequantize_row(DType::kI64, source, &value, 1), "i64");
}

}  // namespace
}  // namespace musaic
