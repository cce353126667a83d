#include <fmt/format.h>

#include "ops/op_samples.h"

namespace musaic {

std::vector<OpSample> linear_fp8_samples() {
  struct Size {
    int64_t rows, n, k;
    bool has_bias;
  };
  std::vector<OpSample> samples;
  for (const Size& size : {Size{0, 16, 128, false}, Size{1, 17, 128, true}, Size{2, 130, 40, false},
                           Size{7, 33, 300, true}, Size{70, 140, 256, true}}) {
    const auto f32 = [](const Shape& shape, uint32_t seed) {
      return HostTensor::random(DType::kF32, shape, seed);
    };
    const auto f8 = [](const Shape& shape, uint32_t seed) {
      return HostTensor::random(DType::kF8E4M3, shape, seed, 100);
    };
    const int64_t groups = (size.k + 127) / 128;
    samples.push_back(
        {.name = fmt::format("{} rows of {}, {} columns{}", size.rows, size.k, size.n,
                             size.has_bias ? ", bias" : ""),
         .inputs = {sample_rows_of(f8({size.rows, size.k}, 1)), sample_rows_of(f32({size.rows, groups}, 2)),
                    sample_fixed(f8({size.n, size.k}, 3)),
                    sample_fixed(f32({(size.n + 127) / 128, groups}, 4)),
                    size.has_bias ? sample_fixed(f32({size.n}, 5)) : SampleInput{}},
         .outputs = {{DType::kF32, {size.rows, size.n}}}});
  }
  return samples;
}

}  // namespace musaic
