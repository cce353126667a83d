#include "ops/latent_write/norm_latent_write.h"

#include "ops/fake_checks.h"
#include "ops/op_samples.h"
#include "ops/rms_norm/rms_norm.h"

namespace musaic {
namespace {

enum Input { kQuery, kLatent, kRopeKey, kCosSin, kSlots, kCache, kNormWeight };

std::vector<FakeOutput> fake_norm_latent_write(const FakeCall& call) {
  expect_norm_latent_write(call);
  return {};
}

// Those of rope_latent_write, and one as wide as DeepSeek's.
std::vector<OpSample> norm_latent_write_samples() {
  std::vector<OpSample> samples = rope_latent_write_samples();
  OpSample wide = samples.back();
  constexpr int64_t kTokens = 5, kRank = 512, kRotated = 64, kWidth = 2 * 192;
  const auto rows = [&](int64_t width, uint32_t seed) {
    return sample_rows_of(HostTensor::random(DType::kF32, {kTokens, width}, seed, 1, width + 16));
  };
  wide.name = "5 tokens of DeepSeek-V2's latents";
  wide.inputs = {rows(kWidth, 1),
                 rows(kRank, 2),
                 rows(kRotated, 3),
                 rows(kRotated, 4),
                 sample_rows_of(HostTensor::ints({7, 0, 3, 1, 4})),
                 sample_fixed(HostTensor::random(DType::kBF16, {1, 1, 8, kRank + kRotated}, 5))};
  wide.attributes = {{"head_dim", int64_t{192}}, {"interleaved", true}};
  samples.push_back(std::move(wide));
  constexpr DType kWeights[] = {DType::kF32, DType::kF16, DType::kBF16};
  for (size_t i = 0; i < samples.size(); ++i) {
    const int64_t rank = samples[i].inputs[kLatent].tensor.tensor().shape[1];
    samples[i].inputs.push_back(sample_fixed(HostTensor::random(kWeights[i % 3], {rank}, 6)));
    samples[i].attributes.set("eps", 1e-5);
  }
  return samples;
}

}  // namespace

void expect_norm_latent_write(const FakeCall& call) {
  expect_latent_write(call);
  expect_float(call, kNormWeight);
  expect_shape(call, kNormWeight, {call.input(kLatent).dim(1)});
  expect_contiguous(call, kNormWeight);
}

std::vector<Value> decompose_norm_latent_write(GraphBuilder&, std::span<const Value> inputs,
                                               const Attributes& attributes) {
  const auto [query, cache] = rope_latent_write(
      {.query = inputs[kQuery],
       .latent = rms_norm(inputs[kLatent], inputs[kNormWeight], attributes.get_float("eps")),
       .rope_key = inputs[kRopeKey],
       .cos_sin = inputs[kCosSin],
       .slots = inputs[kSlots],
       .cache = inputs[kCache],
       .head_dim = static_cast<int>(attributes.get_int("head_dim")),
       .interleaved = attributes.get_bool("interleaved")});
  return {query, cache};
}

// Four operations a value of the norm.
void cost_norm_latent_write(const CostQuery& query, CallCost& cost) {
  cost_latent_write(query, cost);
  cost.float_ops += 4.0 * query.elements(kLatent);
}

std::pair<Value, Value> norm_latent_write(const RopeLatentWriteArguments& a, Value norm_weight, double eps) {
  const auto out = a.query.builder().call(
      "musaic::norm_latent_write", {a.query, a.latent, a.rope_key, a.cos_sin, a.slots, a.cache, norm_weight},
      {{"head_dim", int64_t{a.head_dim}}, {"interleaved", a.interleaved}, {"eps", eps}});
  return {out[0], out[1]};
}

void define_norm_latent_write(OpRegistry& registry) {
  registry.define(
      "musaic::norm_latent_write(Tensor(a!) query, Tensor latent, Tensor rope_key, Tensor cos_sin, Tensor "
      "slots, Tensor(b!) cache, Tensor norm_weight, int head_dim, bool interleaved, float eps) -> ()",
      {.schema = {},
       .fake = fake_norm_latent_write,
       .decomposition = decompose_norm_latent_write,
       .samples = norm_latent_write_samples,
       .cost = cost_norm_latent_write});
}

}  // namespace musaic
