#include "ops/random_values/random_values.h"

#include <fmt/format.h>

#include "ir/op_sample.h"
#include "ops/fake_checks.h"

namespace musaic {
namespace {

std::vector<FakeOutput> fake_random_values(const FakeCall& call) {
  expect_contiguous(call, 0);
  const Meta& x = call.input(0);
  if (x.dtype != DType::kF32 && x.dtype != DType::kBF16 && x.dtype != DType::kF8E4M3)
    fail_argument(call, 0, "f32, bf16 or f8e4m3");
  if (x.rank() < 1) fail_argument(call, 0, "at least 1 dimension");
  return {};
}

void cost_random_values(const CostQuery& query, CallCost& cost) {
  cost.read[0] = 0.0;
  cost.float_ops = 2.0 * query.elements(0);
}

std::vector<OpSample> random_values_samples() {
  std::vector<OpSample> samples;
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF8E4M3}) {
    for (int64_t rows : {0, 1, 7}) {
      samples.push_back({.name = fmt::format("{}, {} rows", name(dtype), rows),
                         .inputs = {{HostTensor(dtype, {rows, 37}), true, true}},
                         .attributes = {{"seed", int64_t{-7}}, {"mean", 0.5}, {"deviation", 64.0}},
                         .outputs = {}});
    }
  }
  return samples;
}

}  // namespace

Value random_values(Value x, int64_t seed, double mean, double deviation) {
  return x.builder().call("musaic::random_values", {x},
                          {{"seed", seed}, {"mean", mean}, {"deviation", deviation}})[0];
}

void define_random_values(OpRegistry& registry) {
  registry.define("musaic::random_values(Tensor(a!) x, int seed, float mean, float deviation) -> ()",
                  {.schema = {},
                   .fake = fake_random_values,
                   .samples = random_values_samples,
                   .cost = cost_random_values});
}

}  // namespace musaic
