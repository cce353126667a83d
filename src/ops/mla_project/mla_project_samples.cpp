#include <fmt/format.h>

#include "ops/op_samples.h"

namespace musaic {
namespace {

constexpr int64_t kHeads = 3, kNope = 10, kRope = 6, kValue = 9, kRank = 20;

// `in` and `out`: values a head.
std::vector<OpSample> projections(int64_t in, int64_t out) {
  std::vector<OpSample> samples;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3}) {
    for (int64_t rows : kSampleRows) {
      const int64_t width = kHeads * in;
      const bool is_fp8 = dtype == DType::kF8E4M3;
      const int64_t gap = rows == 7 ? 5 : 0;
      const auto kv_b = HostTensor::random(dtype, {kHeads * (kNope + kValue), kRank}, 2, is_fp8 ? 100 : 1);
      const auto scale = HostTensor::random(DType::kF32, {1, 1}, 3);
      samples.push_back(
          {.name = fmt::format("{} rows, gap {}, kv_b {}", rows, gap, name(dtype)),
           .inputs = {sample_rows_of(HostTensor::random(DType::kF32, {rows, width}, 1, 1, width + gap)),
                      sample_fixed(kv_b), is_fp8 ? sample_fixed(scale) : SampleInput{}},
           .attributes = {{"num_heads", kHeads}, {"v_head_dim", kValue}},
           .outputs = {{DType::kF32, {rows, kHeads * out}}}});
    }
  }
  return samples;
}

}  // namespace

std::vector<OpSample> mla_absorb_query_samples() {
  return projections(kNope + kRope, kRank + kRope);
}

std::vector<OpSample> mla_expand_values_samples() {
  return projections(kRank, kValue);
}

}  // namespace musaic
