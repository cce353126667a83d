#include "ops/cast/cast.h"

#include "base/status.h"
#include "ir/op_sample.h"
#include "ops/fake_checks.h"

namespace musaic {
namespace {

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

std::vector<FakeOutput> fake_cast(const FakeCall& call) {
  const Meta& x = call.input(0);
  expect_float(call, 0);
  expect_dense_rows(call, 0);
  if (x.rank() < 1 || x.rank() > 3) fail_argument(call, 0, "1 to 3 dimensions");
  const std::string& wanted = call.attributes.get_string("dtype");
  const auto dtype = parse_dtype(wanted);
  if (!dtype || !is_float(*dtype)) fail_load("musaic::cast: dtype is {}, expected f32, f16 or bf16", wanted);
  return {{Meta::contiguous(*dtype, x.shape, x.device)}};
}

std::vector<OpSample> cast_samples() {
  std::vector<OpSample> samples;
  for (DType from : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (DType to : {DType::kF32, DType::kF16, DType::kBF16}) {
      for (int64_t rows : {0, 1, 5}) {
        const std::string text = fmt::format("{} to {}, {} rows", name(from), name(to), rows);
        samples.push_back({.name = text,
                           .inputs = {{HostTensor::random(from, {rows, 37}, 1, 9, 40), true}},
                           .attributes = {{"dtype", std::string(name(to))}},
                           .outputs = {{to, {rows, 37}}}});
      }
    }
  }
  return samples;
}

}  // namespace

Value cast(Value x, DType dtype) {
  return x.builder().call("musaic::cast", {x}, {{"dtype", std::string(name(dtype))}})[0];
}

void define_cast(OpRegistry& registry) {
  registry.define("musaic::cast(Tensor x, str dtype) -> Tensor",
                  {.schema = {}, .fake = fake_cast, .samples = cast_samples});
}

}  // namespace musaic
