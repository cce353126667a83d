#include "ops/latent_write/latent_write.h"

#include "ops/fake_checks.h"
#include "ops/op_samples.h"
#include "ops/rope/rope_checks.h"

namespace musaic {
namespace {

enum Input { kQuery, kLatent, kRopeKey, kCosSin, kSlots, kCache };

void expect_token_rows(const FakeCall& call, int input, const Dim& tokens) {
  expect_rank(call, input, 2);
  expect_float(call, input);
  expect_dense_rows(call, input);
  expect_dim(call, input, 0, tokens);
}

std::vector<FakeOutput> fake_rope_latent_write(const FakeCall& call) {
  expect_latent_write(call);
  return {};
}

}  // namespace

void expect_latent_write(const FakeCall& call) {
  const int64_t head_dim = call.attributes.get_int("head_dim");
  expect_heads(call, kQuery, head_dim);
  const Dim& tokens = call.input(kQuery).dim(0);
  expect_token_rows(call, kLatent, tokens);
  expect_token_rows(call, kRopeKey, tokens);
  expect_cos_sin(call, kCosSin, tokens, head_dim);
  expect_dim(call, kRopeKey, 1, call.input(kCosSin).dim(1));
  expect_dtype(call, kSlots, DType::kI32);
  expect_shape(call, kSlots, {tokens});
  expect_rank(call, kCache, 4);
  expect_float(call, kCache);
  expect_contiguous(call, kCache);
  expect_dim(call, kCache, 1, 1);
  expect_dim(call, kCache, 3, call.input(kLatent).dim(1) + call.input(kRopeKey).dim(1));
}

// Of the query only the rotated part, of the cache the step's rows.
void cost_latent_write(const CostQuery& query, CallCost& cost) {
  const double heads = query.elements(kQuery) /
                       static_cast<double>(query.dim(kQuery, 0) * query.attributes.get_int("head_dim"));
  const double rotated = heads * query.elements(kRopeKey);
  cost.read[kQuery] = cost.written[kQuery] = rotated;
  cost.read[kCache] = 0.0;
  cost.written[kCache] = query.elements(kLatent) + query.elements(kRopeKey);
  cost.float_ops = kRopeOps * (rotated + query.elements(kRopeKey));
}

std::pair<Value, Value> rope_latent_write(const RopeLatentWriteArguments& a) {
  const auto out = a.query.builder().call(
      "musaic::rope_latent_write", {a.query, a.latent, a.rope_key, a.cos_sin, a.slots, a.cache},
      {{"head_dim", int64_t{a.head_dim}}, {"interleaved", a.interleaved}});
  return {out[0], out[1]};
}

void define_latent_write(OpRegistry& registry) {
  registry.define(
      "musaic::rope_latent_write(Tensor(a!) query, Tensor latent, Tensor rope_key, Tensor cos_sin, Tensor "
      "slots, Tensor(b!) cache, int head_dim, bool interleaved=True) -> ()",
      {.schema = {},
       .fake = fake_rope_latent_write,
       .samples = rope_latent_write_samples,
       .cost = cost_latent_write});
}

}  // namespace musaic
