#include "tensor/host_tensor.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tensor/dequantize.h"

namespace musaic {
namespace {

TEST(HostTensor, GapsBetweenRowsStayPoisoned) {
  const HostTensor tensor = HostTensor::random(DType::kF32, {2, 3}, 1, 1, 5);
  const float* values = tensor.tensor().as<float>();
  EXPECT_TRUE(std::isnan(values[3]) && std::isnan(values[4]));
  for (float value : tensor.to_floats()) EXPECT_LE(std::abs(value), 1.0f);
}

TEST(HostTensor, AStridedTensorTakesNoMoreMemoryThanItsLastValue) {
  const HostTensor tensor = HostTensor::strided(DType::kF32, {3, 2}, {1, 4});
  EXPECT_EQ(tensor.bytes(), 7 * sizeof(float));
  EXPECT_EQ(tensor.tensor().strides, Shape({1, 4}));
  EXPECT_EQ(HostTensor::strided(DType::kF32, {0, 2}, {1, 4}).bytes(), 0u);
}

TEST(HostTensor, RandomIntegersStayInTheirRangeWithEitherSign) {
  const HostTensor tensor = HostTensor::random_ints(DType::kI8, {100}, 3, -7, 7);
  float low = 0, high = 0;
  for (float value : tensor.to_floats()) low = std::min(low, value), high = std::max(high, value);
  EXPECT_EQ(low, -7);
  EXPECT_EQ(high, 7);
}

TEST(HostTensor, RandomBlocksHaveFiniteVariedValues) {
  for (DType dtype : {DType::kQ4_1, DType::kQ8_0, DType::kQ6_K}) {
    const HostTensor tensor = HostTensor::random(dtype, {4, 256}, 5);
    std::vector<float> values(1024);
    dequantize_row(dtype, tensor.data(), values.data(), 1024);
    float low = 0, high = 0;
    for (float value : values) {
      ASSERT_TRUE(std::isfinite(value)) << name(dtype);
      low = std::min(low, value), high = std::max(high, value);
    }
    EXPECT_LT(low, 0) << name(dtype);
    EXPECT_GT(high, 0) << name(dtype);
  }
}

}  // namespace
}  // namespace musaic
