#include "tensor/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace musaic {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const float kNan = std::nanf("");

// A binary format's value by its definition: sign, exponent, fraction.
double by_definition(int bits, int exponent_bits, int fraction_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int fraction = bits & ((1 << fraction_bits) - 1);
  const int exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1);
  const double sign = (bits >> (exponent_bits + fraction_bits)) & 1 ? -1 : 1;
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
}

// Checks the rounding halfway between, just below and just above each two neighbouring values.
template <class Encode, class Decode>
void expect_nearest_even(int last_finite, Encode encode, Decode decode) {
  for (int i = 0; i < last_finite; ++i) {
    const float low = decode(i), high = decode(i + 1);
    const float middle = static_cast<float>((static_cast<double>(low) + high) / 2);
    const int even = i % 2 == 0 ? i : i + 1;
    ASSERT_EQ(encode(low), i);
    ASSERT_EQ(encode(middle), even) << middle;
    ASSERT_EQ(encode(std::nextafter(middle, low)), i) << middle;
    ASSERT_EQ(encode(std::nextafter(middle, high)), i + 1) << middle;
  }
}

TEST(Half, EveryF16HasTheValueOfItsDefinition) {
  for (int i = 0; i < 0x10000; ++i) {
    if ((i & 0x7C00) == 0x7C00) continue;
    ASSERT_EQ(f16_to_float(static_cast<uint16_t>(i)), by_definition(i, 5, 10)) << i;
    ASSERT_EQ(float_to_f16(f16_to_float(static_cast<uint16_t>(i))), i);
  }
}

TEST(Half, F16RoundsToNearestEven) {
  expect_nearest_even(0x7BFF, float_to_f16, [](int i) { return f16_to_float(static_cast<uint16_t>(i)); });
}

TEST(Half, F16KeepsInfinityAndNanAndOverflowsToInfinity) {
  EXPECT_EQ(f16_to_float(0x7C00), kInfinity);
  EXPECT_EQ(f16_to_float(0xFC00), -kInfinity);
  EXPECT_TRUE(std::isnan(f16_to_float(0x7C01)));
  EXPECT_EQ(float_to_f16(kInfinity), 0x7C00);
  EXPECT_EQ(float_to_f16(-1e30f), 0xFC00);
  EXPECT_EQ(float_to_f16(65520.0f), 0x7C00);
  EXPECT_EQ(float_to_f16(std::nextafter(65520.0f, 0.0f)), 0x7BFF);
  EXPECT_TRUE(std::isnan(f16_to_float(float_to_f16(kNan))));
  EXPECT_EQ(float_to_f16(-0.0f), 0x8000);
}

TEST(Half, EveryBf16RoundTrips) {
  for (int i = 0; i < 0x10000; ++i) {
    const float value = bf16_to_float(static_cast<uint16_t>(i));
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(bf16_to_float(float_to_bf16(value))));
      continue;
    }
    ASSERT_EQ(float_to_bf16(value), i);
    if ((i & 0x7F80) != 0x7F80) {
      ASSERT_EQ(value, by_definition(i, 8, 7)) << i;
    }
  }
}

TEST(Half, Bf16RoundsToNearestEven) {
  expect_nearest_even(0x7F7F, float_to_bf16, [](int i) { return bf16_to_float(static_cast<uint16_t>(i)); });
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::max()), 0x7F80);
}

TEST(Half, ASignallingNanStaysANanInBf16) {
  EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(float_from_bits(0x7F800001)))));
}

TEST(Half, EveryF8E4M3HasTheValueOfItsDefinition) {
  for (int i = 0; i < 0x100; ++i) {
    if ((i & 0x7F) == 0x7F) continue;
    ASSERT_EQ(f8e4m3_to_float(static_cast<uint8_t>(i)), by_definition(i, 4, 3)) << i;
    ASSERT_EQ(float_to_f8e4m3(f8e4m3_to_float(static_cast<uint8_t>(i))), i);
  }
  EXPECT_TRUE(std::isnan(f8e4m3_to_float(0x7F)));
  EXPECT_TRUE(std::isnan(f8e4m3_to_float(0xFF)));
}

TEST(Half, F8E4M3RoundsToNearestEvenAndSaturates) {
  expect_nearest_even(0x7E, float_to_f8e4m3, [](int i) { return f8e4m3_to_float(static_cast<uint8_t>(i)); });
  EXPECT_EQ(float_to_f8e4m3(480.0f), 0x7E);
  EXPECT_EQ(float_to_f8e4m3(kInfinity), 0x7E);
  EXPECT_EQ(float_to_f8e4m3(-1e30f), 0xFE);
  EXPECT_EQ(float_to_f8e4m3(kNan) & 0x7F, 0x7F);
}

}  // namespace
}  // namespace musaic
