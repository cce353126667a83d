#include "ops/per_token_group_quant/per_token_group_quant.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/status.h"
#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

constexpr const char* kOp = "sgl_kernel::sgl_per_token_group_quant_8bit_v2";

// Every magnitude of e4m3 by its definition: exponent 0 is subnormal, 0x7F is no number.
std::vector<double> e4m3_magnitudes() {
  std::vector<double> values;
  for (int code = 0; code < 0x7F; ++code) {
    const int exponent = code >> 3, fraction = code & 7;
    values.push_back(exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8 + fraction, exponent - 10));
  }
  return values;
}

// The nearest value of e4m3; of two equally near, the one whose code is even.
double nearest_e4m3(double x) {
  static const std::vector<double> magnitudes = e4m3_magnitudes();
  size_t best = 0;
  for (size_t code = 1; code < magnitudes.size(); ++code) {
    const double distance = std::abs(magnitudes[code] - std::abs(x));
    const double least = std::abs(magnitudes[best] - std::abs(x));
    if (distance < least || (distance == least && code % 2 == 0)) best = code;
  }
  return std::copysign(magnitudes[best], x);
}

struct QuantCase {
  DType input = DType::kF32;
  DType output = DType::kF8E4M3;
  int group = 128;
  bool power_of_two = false;
  bool fuse = false;
};

struct NaiveGroup {
  std::vector<double> q;
  float scale;
};

NaiveGroup naive_group(const std::vector<float>& x, const QuantCase& c, float eps) {
  const float max = c.output == DType::kI8 ? 127 : 448;
  float absmax = 0;
  for (float value : x) absmax = std::max(absmax, std::abs(value));
  NaiveGroup out{{}, std::max(absmax, eps) / max};
  if (c.power_of_two) {
    float power = 1;
    while (power < out.scale) power *= 2;
    while (power / 2 >= out.scale) power /= 2;
    out.scale = power;
  }
  for (float value : x) {
    const float scaled = value / out.scale;
    const double low = c.output == DType::kI8 ? -128 : -448;
    const double held = std::min<double>(std::max<double>(scaled, low), max);
    out.q.push_back(c.output == DType::kI8 ? std::nearbyint(held) : nearest_e4m3(held));
  }
  return out;
}

OpCase op_case(const QuantCase& c, const TestTensor& input, const TestTensor& q, const TestTensor& scales,
               const TestTensor& masked = {}) {
  const bool i8 = c.output == DType::kI8;
  return {.op = kOp,
          .inputs = {input, q, scales, masked},
          .attributes = {{"group_size", int64_t{c.group}},
                         {"eps", 1e-10},
                         {"fp8_min", i8 ? -128.0 : -448.0},
                         {"fp8_max", i8 ? 127.0 : 448.0},
                         {"scale_ue8m0", c.power_of_two},
                         {"fuse_silu_and_mul", c.fuse}}};
}

std::vector<float> part(const std::vector<float>& row, int64_t begin, int64_t count) {
  return {row.begin() + begin, row.begin() + begin + count};
}

// `rows` of x against `q` and `scales` of the same rows.
void expect_row(const std::vector<float>& x, const std::vector<float>& q, const std::vector<float>& scales,
                const QuantCase& c) {
  for (size_t g = 0; g < scales.size(); ++g) {
    const NaiveGroup expected = naive_group(part(x, g * c.group, c.group), c, 1e-10f);
    EXPECT_EQ(scales[g], expected.scale) << "group " << g;
    for (int i = 0; i < c.group; ++i)
      EXPECT_EQ(q[g * c.group + i], expected.q[i]) << "group " << g << ", " << x[g * c.group + i];
  }
}

class GroupQuant : public ::testing::TestWithParam<CpuIsa> {
 protected:
  OpRun check(OpCase c) const {
    c.isa = GetParam();
    return check_op(registry_, c);
  }
  const OpRegistry registry_ = cpu_registry();
};

INSTANTIATE_TEST_SUITE_P(Isas, GroupQuant, ::testing::ValuesIn(available_isas()),
                         [](const auto& isa) { return std::string(name(isa.param)); });

TEST_P(GroupQuant, EveryGroupSizeTypeAndScaleFollowsTheNaiveLoop) {
  for (DType input : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (DType output : {DType::kF8E4M3, DType::kI8}) {
      for (int group : {16, 32, 64, 128}) {
        for (bool power_of_two : {false, true}) {
          const QuantCase c{.input = input, .output = output, .group = group, .power_of_two = power_of_two};
          const int64_t width = 3 * group;
          OpCase call = op_case(c, TestTensor::random(input, {4, width}, group, 7, width + 8),
                                TestTensor(output, {4, width}), TestTensor(DType::kF32, {4, 3}));
          call.inputs[0].poison_rows(3);
          call.live_rows = 3;
          const OpRun run = check(call);
          for (int row = 0; row < 3; ++row)
            expect_row(call.inputs[0].row(row), run.inputs[1].row(row), run.inputs[2].row(row), c);
          EXPECT_TRUE(run.inputs[1].row_is_poisoned(3) && run.inputs[2].row_is_poisoned(3));
        }
      }
    }
  }
}

TEST_P(GroupQuant, EveryStepOfE4m3RoundsToTheNearestAndTiesToEven) {
  // With a largest value of 448 the scale is 1: values are rounded as they are.
  const std::vector<double> magnitudes = e4m3_magnitudes();
  std::vector<float> x;
  for (size_t i = 0; i + 1 < magnitudes.size(); ++i) {
    const float middle = static_cast<float>((magnitudes[i] + magnitudes[i + 1]) / 2);
    for (float value : {static_cast<float>(magnitudes[i]), middle, std::nextafter(middle, 0.0f),
                        std::nextafter(middle, 500.0f)}) {
      if (x.size() % 16 == 0) x.push_back(448);
      x.push_back(i % 2 == 0 ? value : -value);
    }
  }
  while (x.size() % 16 != 0) x.push_back(0);
  const auto groups = static_cast<int64_t>(x.size()) / 16;
  const QuantCase c{.group = 16};
  const OpRun run =
      check(op_case(c, TestTensor::floats(x, {groups, 16}), TestTensor(DType::kF8E4M3, {groups, 16}),
                    TestTensor(DType::kF32, {groups, 1})));
  const std::vector<float> q = run.inputs[1].to_floats();
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(q[i], nearest_e4m3(x[i])) << x[i];
}

TEST_P(GroupQuant, AGroupOfZerosTakesTheScaleOfEps) {
  const QuantCase c{.group = 16};
  const OpRun run = check(op_case(c, TestTensor::floats(std::vector<float>(32, 0.0f), {2, 16}),
                                  TestTensor(DType::kF8E4M3, {2, 16}), TestTensor(DType::kF32, {2, 1})));
  for (float q : run.inputs[1].to_floats()) EXPECT_EQ(q, 0);
  for (float scale : run.inputs[2].to_floats()) EXPECT_EQ(scale, 1e-10f / 448);
}

TEST_P(GroupQuant, ANarrowerRangeSaturates) {
  const QuantCase c{.group = 16, .power_of_two = false};
  std::vector<float> x(16, 1.0f);
  x[3] = -8;
  OpCase call = op_case(c, TestTensor::floats(x, {1, 16}), TestTensor(DType::kF8E4M3, {1, 16}),
                        TestTensor(DType::kF32, {1, 1}));
  call.attributes.set("fp8_min", -100.0);
  const OpRun run = check(call);
  EXPECT_EQ(run.inputs[2].row(0)[0], 8.0f / 448);
  EXPECT_EQ(run.inputs[1].row(0)[3], nearest_e4m3(-100));
}

TEST_P(GroupQuant, ColumnMajorScalesHoldTheSameNumbers) {
  const QuantCase c{.group = 32};
  const TestTensor x = TestTensor::random(DType::kBF16, {5, 128}, 3, 2);
  const OpRun rows =
      check(op_case(c, x, TestTensor(DType::kF8E4M3, {5, 128}), TestTensor(DType::kF32, {5, 4})));
  const OpRun columns = check(
      op_case(c, x, TestTensor(DType::kF8E4M3, {5, 128}), TestTensor::strided(DType::kF32, {5, 4}, {1, 8})));
  EXPECT_TRUE(rows.inputs[1].same_bits(columns.inputs[1]));
  EXPECT_EQ(rows.inputs[2].to_floats(), columns.inputs[2].to_floats());
  const float* stored = columns.inputs[2].tensor().as<float>();
  EXPECT_EQ(stored[8 * 2 + 4], rows.inputs[2].row(4)[2]) << "row 4, group 2";
}

TEST_P(GroupQuant, PackedScalesAreTheBiasedExponentsOfPowersOfTwo) {
  const QuantCase c{.group = 16, .power_of_two = true};
  const TestTensor x = TestTensor::random(DType::kF32, {3, 96}, 4, 100);
  const OpRun floats =
      check(op_case(c, x, TestTensor(DType::kF8E4M3, {3, 96}), TestTensor(DType::kF32, {3, 6})));
  const OpRun packed = check(
      op_case(c, x, TestTensor(DType::kF8E4M3, {3, 96}), TestTensor::strided(DType::kI32, {3, 2}, {1, 4})));
  EXPECT_TRUE(floats.inputs[1].same_bits(packed.inputs[1]));
  const auto* bytes = reinterpret_cast<const uint8_t*>(packed.inputs[2].data());
  for (int row = 0; row < 3; ++row) {
    for (int group = 0; group < 8; ++group) {
      const int byte = bytes[(row + group / 4 * 4) * 4 + group % 4];
      const float scale = group < 6 ? floats.inputs[2].row(row)[group] : 0;
      EXPECT_EQ(byte, group < 6 ? 127 + static_cast<int>(std::log2(scale)) : 0);
    }
  }
}

TEST_P(GroupQuant, FusedSiluAndMulHasTheBitsOfSwigluFirst) {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (DType output : {DType::kF8E4M3, DType::kI8}) {
      const TestTensor x = TestTensor::random(dtype, {5, 2 * 192}, 8, 6);
      OpCase swiglu{.op = "aten::_fused_swiglu_forward", .inputs = {x}, .isa = GetParam()};
      const TestTensor y = run_op(registry_, swiglu).outputs[0];
      QuantCase c{.input = dtype, .output = output, .group = 64};
      const OpRun apart = check(op_case(c, y, TestTensor(output, {5, 192}), TestTensor(DType::kF32, {5, 3})));
      c.fuse = true;
      const OpRun fused = check(op_case(c, x, TestTensor(output, {5, 192}), TestTensor(DType::kF32, {5, 3})));
      EXPECT_TRUE(fused.inputs[1].same_bits(apart.inputs[1]));
      EXPECT_TRUE(fused.inputs[2].same_bits(apart.inputs[2]));
      for (int row = 0; row < 5; ++row)
        expect_row(y.row(row), fused.inputs[1].row(row), fused.inputs[2].row(row), c);
    }
  }
}

TEST_P(GroupQuant, TheLastGroupOfARowMayBeShorter) {
  for (bool fuse : {false, true}) {
    for (int group : {16, 128}) {
      const int64_t width = 2 * group + 11;
      const QuantCase c{.group = group, .fuse = fuse};
      const TestTensor x = TestTensor::random(DType::kF32, {3, fuse ? 2 * width : width}, 9, 4);
      const OpRun run =
          check(op_case(c, x, TestTensor(DType::kF8E4M3, {3, width}), TestTensor(DType::kF32, {3, 3})));
      const OpCase swiglu{.op = "aten::_fused_swiglu_forward", .inputs = {x}, .isa = GetParam()};
      const TestTensor y = fuse ? run_op(registry_, swiglu).outputs[0] : x;
      for (int row = 0; row < 3; ++row) {
        // A whole group of the same largest value gives the same scale and values.
        std::vector<float> padded = y.row(row);
        std::vector<float> q = run.inputs[1].row(row);
        padded.resize(static_cast<size_t>(3 * group), 0.0f);
        q.resize(static_cast<size_t>(3 * group), 0.0f);
        expect_row(padded, q, run.inputs[2].row(row), c);
      }
    }
  }
}

TEST_P(GroupQuant, RowsBehindAnExpertsCountAreNeitherReadNorWritten) {
  const std::vector<int32_t> counts = {2, 0, 4};
  for (bool fuse : {false, true}) {
    const QuantCase c{.group = 16, .fuse = fuse};
    const int64_t width = fuse ? 64 : 32;
    TestTensor x = TestTensor::random(DType::kF32, {3, 4, width}, 5, 3);
    const TestTensor whole = x;
    for (int e = 0; e < 3; ++e) {
      for (int row = counts[e]; row < 4; ++row) {
        float* values = x.tensor().as<float>() + (e * 4 + row) * width;
        std::fill(values, values + width, std::nanf(""));
      }
    }
    const OpRun run =
        check(op_case(c, x, TestTensor(DType::kF8E4M3, {3, 4, 32}),
                      TestTensor::strided(DType::kF32, {3, 4, 2}, {8, 1, 4}), TestTensor::ints(counts)));
    const OpRun all =
        check(op_case(c, whole, TestTensor(DType::kF8E4M3, {3, 4, 32}), TestTensor(DType::kF32, {3, 4, 2})));
    for (int e = 0; e < 3; ++e) {
      const std::vector<float> scales = run.inputs[2].row(e), expected = all.inputs[2].row(e);
      for (int row = 0; row < 4; ++row) {
        const auto* q = reinterpret_cast<const uint8_t*>(run.inputs[1].data()) + (e * 4 + row) * 32;
        const auto* reference = reinterpret_cast<const uint8_t*>(all.inputs[1].data()) + (e * 4 + row) * 32;
        for (int i = 0; i < 32; ++i) EXPECT_EQ(q[i], row < counts[e] ? reference[i] : 0xFF);
        for (int g = 0; g < 2; ++g) {
          if (row < counts[e]) {
            EXPECT_EQ(scales[row * 2 + g], expected[row * 2 + g]);
          } else {
            EXPECT_TRUE(std::isnan(scales[row * 2 + g]));
          }
        }
      }
    }
  }
}

std::string error_of(OpCase call) {
  try {
    run_op(cpu_registry(), call);
  } catch (const LoadError& error) {
    return error.what();
  }
  return "";
}

TEST(GroupQuantFake, AWrongArgumentIsNamed) {
  const QuantCase c{.group = 16};
  const auto call = [&] {
    return op_case(c, TestTensor(DType::kF32, {2, 32}), TestTensor(DType::kF8E4M3, {2, 32}),
                   TestTensor(DType::kF32, {2, 2}));
  };
  OpCase group = call();
  group.attributes.set("group_size", int64_t{48});
  EXPECT_NE(error_of(group).find("group_size is 48, expected 16, 32, 64 or 128"), std::string::npos);
  OpCase halves = call();
  halves.inputs[0] = TestTensor(DType::kF32, {2, 33});
  halves.attributes.set("fuse_silu_and_mul", true);
  EXPECT_NE(error_of(halves).find("two halves"), std::string::npos);
  OpCase scales = call();
  scales.inputs[2] = TestTensor(DType::kF32, {2, 3});
  EXPECT_NE(error_of(scales).find("output_s is f32[2, 3] cpu, expected shape [2, 2]"), std::string::npos);
  OpCase strides = call();
  strides.inputs[2] = TestTensor::strided(DType::kF32, {2, 2}, {5, 2});
  EXPECT_NE(error_of(strides).find("expected stride 1 along the rows or along the groups"),
            std::string::npos);
  OpCase packed = call();
  packed.inputs[2] = TestTensor(DType::kI32, {2, 1});
  EXPECT_NE(error_of(packed).find("expected f32, or i32 with scale_ue8m0"), std::string::npos);
  OpCase range = call();
  range.attributes.set("fp8_max", 500.0);
  EXPECT_NE(error_of(range).find("expected a range within -448 and 448"), std::string::npos);
  OpCase masked = call();
  masked.inputs[3] = TestTensor::ints({1, 1});
  EXPECT_NE(error_of(masked).find("3 dimensions with masked_m"), std::string::npos);
}

TEST(GroupQuantFake, TheGraphCallGivesNewVersionsOfBothOutputs) {
  const OpRegistry registry = cpu_registry();
  GraphBuilder builder(registry, "g", {"musa", 0});
  const Dim tokens = Dim::symbol("tokens");
  const Value q = builder.input("q", DType::kI8, {tokens, 64});
  const Value s = builder.input("s", DType::kF32, {tokens, 2});
  const auto [new_q, new_s] = per_token_group_quant({.input = builder.input("x", DType::kBF16, {tokens, 128}),
                                                     .output_q = q,
                                                     .output_s = s,
                                                     .group_size = 32,
                                                     .min = -128,
                                                     .max = 127,
                                                     .fuse_silu_and_mul = true});
  EXPECT_EQ(new_q.meta(), q.meta());
  EXPECT_EQ(builder.graph().values[new_s.id()].storage, s.id());
  EXPECT_TRUE(verify(builder.graph(), registry).empty());
}

}  // namespace
}  // namespace musaic::testing
