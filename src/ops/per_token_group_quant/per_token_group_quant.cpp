#include "ops/per_token_group_quant/per_token_group_quant.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/status.h"
#include "ir/op_sample.h"
#include "ops/fake_checks.h"

namespace musaic {
namespace {

constexpr const char* kName = "sgl_kernel::sgl_per_token_group_quant_8bit_v2";
constexpr int kInput = 0, kOutputQ = 1, kOutputS = 2, kMaskedM = 3;
constexpr std::array<int64_t, 4> kGroupSizes = {16, 32, 64, 128};
constexpr int64_t kPackedScales = 4;  // exponents in one i32

DimShape with_last(DimShape shape, const Dim& last) {
  shape.back() = last;
  return shape;
}

// Values of one quantized row.
int64_t row_width(const FakeCall& call) {
  const int64_t group = call.attributes.get_int("group_size");
  const bool fused = call.attributes.get_bool("fuse_silu_and_mul");
  if (std::find(kGroupSizes.begin(), kGroupSizes.end(), group) == kGroupSizes.end())
    fail_load("{}: group_size is {}, expected 16, 32, 64 or 128", kName, group);
  const int64_t width = constant_dim(call, kInput, -1);
  if (fused && width % 2 != 0) fail_argument(call, kInput, "a last dimension of two halves");
  return fused ? width / 2 : width;
}

void expect_range(const FakeCall& call) {
  const double min = call.attributes.get_float("fp8_min");
  const double max = call.attributes.get_float("fp8_max");
  const double eps = call.attributes.get_float("eps");
  const bool is_i8 = call.input(kOutputQ).dtype == DType::kI8;
  const double lowest = is_i8 ? -128 : -448;
  const double highest = is_i8 ? 127 : 448;
  if (!(min >= lowest && min <= 0 && max > 0 && max <= highest))
    fail_load("{}: fp8_min and fp8_max are {} and {}, expected a range within {} and {}", kName, min, max,
              lowest, highest);
  if (!(eps > 0)) fail_load("{}: eps is {}, expected a positive number", kName, eps);
}

void expect_scales(const FakeCall& call, int64_t groups) {
  const Meta& scales = call.input(kOutputS);
  const bool packed = scales.dtype == DType::kI32 && call.attributes.get_bool("scale_ue8m0");
  if (!packed && scales.dtype != DType::kF32) fail_argument(call, kOutputS, "f32, or i32 with scale_ue8m0");
  const int64_t columns = packed ? (groups + kPackedScales - 1) / kPackedScales : groups;
  expect_shape(call, kOutputS, with_last(call.input(kInput).shape, columns));
  const bool row_major = scales.strides.back() == Dim(1);
  const bool column_major = scales.strides[scales.rank() - 2] == Dim(1);
  if (!row_major && !column_major)
    fail_argument(call, kOutputS, "stride 1 along the rows or along the groups");
}

std::vector<FakeOutput> fake_group_quant(const FakeCall& call) {
  const Meta& input = call.input(kInput);
  expect_float(call, kInput);
  if (input.rank() != 2 && input.rank() != 3) fail_argument(call, kInput, "2 or 3 dimensions");
  expect_dense_rows(call, kInput);
  const int64_t width = row_width(call);
  const DType dtype = call.input(kOutputQ).dtype;
  if (dtype != DType::kI8 && dtype != DType::kF8E4M3) fail_argument(call, kOutputQ, "f8e4m3 or i8");
  expect_shape(call, kOutputQ, with_last(input.shape, width));
  expect_contiguous(call, kOutputQ);
  expect_range(call);
  const int64_t group_size = call.attributes.get_int("group_size");
  expect_scales(call, (width + group_size - 1) / group_size);
  if (call.has(kMaskedM)) {
    if (input.rank() != 3) fail_argument(call, kInput, "3 dimensions with masked_m");
    expect_dtype(call, kMaskedM, DType::kI32);
    expect_shape(call, kMaskedM, {input.dim(0)});
    expect_contiguous(call, kMaskedM);
  }
  return {};
}

// Per value: magnitude and maximum, quotient, rounding; the product too where it is fused.
void cost_group_quant(const CostQuery& query, CallCost& cost) {
  const bool fused = query.attributes.get_bool("fuse_silu_and_mul");
  cost.float_ops = (fused ? 9.0 : 4.0) * query.elements(kOutputQ);
  cost.read[kOutputQ] = 0.0;
  cost.read[kOutputS] = 0.0;
}

constexpr int64_t kSampleGroups = 3;
constexpr int64_t kRaggedRows = 6;  // samples of so many rows end in a shorter group

Attributes sample_attributes(DType output, int64_t group, bool ue8m0, bool fused) {
  const bool is_i8 = output == DType::kI8;
  return {{"group_size", group},
          {"eps", 1e-10},
          {"fp8_min", is_i8 ? -128.0 : -448.0},
          {"fp8_max", is_i8 ? 127.0 : 448.0},
          {"scale_ue8m0", ue8m0},
          {"fuse_silu_and_mul", fused}};
}

OpSample rows_sample(DType input, DType output, int64_t group, int64_t rows, bool fused) {
  const bool ragged = rows == kRaggedRows;
  const int64_t width = kSampleGroups * group - (ragged ? 5 : 0);
  return {.name = fmt::format("{} to {}, {}groups of {}, {} rows{}", name(input), name(output),
                              ragged ? "ragged " : "", group, rows, fused ? ", silu and mul" : ""),
          .inputs = {{HostTensor::random(input, {rows, fused ? 2 * width : width}, 1, 7), true},
                     {HostTensor(output, {rows, width}), true, true},
                     {HostTensor(DType::kF32, {rows, kSampleGroups}), true, true},
                     {}},
          .attributes = sample_attributes(output, group, /*ue8m0=*/false, fused),
          .outputs = {}};
}

OpSample column_major_sample(bool packed) {
  OpSample sample = rows_sample(DType::kBF16, DType::kF8E4M3, 32, 5, false);
  sample.name = packed ? "packed power-of-two scales, column-major" : "power-of-two scales, column-major";
  const Shape shape = {5, packed ? 1 : kSampleGroups};
  // Not counted as rows: the gaps of one lie between the values of the others.
  sample.inputs[kInput].has_rows = false;
  sample.inputs[kOutputQ].has_rows = false;
  sample.inputs[kOutputS] = {HostTensor::strided(packed ? DType::kI32 : DType::kF32, shape, {1, 8}), false,
                             true};
  sample.attributes.set("scale_ue8m0", true);
  sample.live_rows = 5;
  return sample;
}

// Every expert's rows are live: what an expert leaves out is in the op's own test.
OpSample experts_sample() {
  return {.name = "3 experts, masked_m",
          .inputs = {{HostTensor::random(DType::kF32, {3, 4, 64}, 1, 7)},
                     {HostTensor(DType::kF8E4M3, {3, 4, 64}), false, true},
                     {HostTensor(DType::kF32, {3, 4, 2}), false, true},
                     {HostTensor::ints({4, 4, 4})}},
          .attributes = sample_attributes(DType::kF8E4M3, 32, /*ue8m0=*/false, /*fused=*/false),
          .outputs = {},
          .live_rows = 3};
}

std::vector<OpSample> group_quant_samples() {
  std::vector<OpSample> samples;
  for (DType input : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (DType output : {DType::kF8E4M3, DType::kI8}) {
      for (int64_t group : kGroupSizes) {
        for (bool fused : {false, true}) {
          for (int64_t rows : {int64_t{5}, kRaggedRows})
            samples.push_back(rows_sample(input, output, group, rows, fused));
        }
      }
      for (int64_t rows : {0, 1}) samples.push_back(rows_sample(input, output, 16, rows, false));
    }
  }
  samples.push_back(column_major_sample(false));
  samples.push_back(column_major_sample(true));
  samples.push_back(experts_sample());
  return samples;
}

}  // namespace

std::pair<Value, Value> per_token_group_quant(const GroupQuantArguments& a) {
  const auto out = a.input.builder().call(kName, {a.input, a.output_q, a.output_s, a.masked_m},
                                          {{"group_size", int64_t{a.group_size}},
                                           {"eps", a.eps},
                                           {"fp8_min", a.min},
                                           {"fp8_max", a.max},
                                           {"scale_ue8m0", a.scale_ue8m0},
                                           {"fuse_silu_and_mul", a.fuse_silu_and_mul}});
  return {out[0], out[1]};
}

void define_per_token_group_quant(OpRegistry& registry) {
  registry.define(
      "sgl_kernel::sgl_per_token_group_quant_8bit_v2(Tensor input, Tensor(a!) output_q, Tensor(b!) output_s, "
      "int group_size, float eps, float fp8_min, float fp8_max, bool scale_ue8m0, bool fuse_silu_and_mul, "
      "Tensor? masked_m) -> ()",
      {.schema = {}, .fake = fake_group_quant, .samples = group_quant_samples, .cost = cost_group_quant});
}

}  // namespace musaic
