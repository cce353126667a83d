#include "ops/mla_project/mla_project.h"

#include "ops/mla_attention/kv_b_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

enum Input { kRows, kKvB, kKvBScale };

struct Heads {
  int64_t count;
  int64_t width;      // of a head of the rows
  int64_t nope;       // key rows of kv_b a head
  int64_t value_dim;  // value rows
};

Heads expect_arguments(const FakeCall& call) {
  const int64_t heads = call.attributes.get_int("num_heads");
  const int64_t value_dim = call.attributes.get_int("v_head_dim");
  const int64_t kv_head_dim = expect_kv_b(call, kKvB, heads);
  if (value_dim <= 0 || value_dim >= kv_head_dim)
    fail_argument(call, kKvB, fmt::format("more than v_head_dim, {}, rows a head", value_dim));
  expect_rank(call, kRows, 2);
  expect_float(call, kRows);
  expect_dense_rows(call, kRows);
  const int64_t width = constant_dim(call, kRows, 1);
  if (width % heads != 0)
    fail_argument(call, kRows, fmt::format("a last dimension of {} whole heads", heads));
  return {heads, width / heads, kv_head_dim - value_dim, value_dim};
}

std::vector<FakeOutput> rows_of(const FakeCall& call, int64_t width) {
  const Meta& rows = call.input(kRows);
  return {{Meta::contiguous(DType::kF32, {rows.dim(0), width}, rows.device)}};
}

std::vector<FakeOutput> fake_absorb_query(const FakeCall& call) {
  const Heads heads = expect_arguments(call);
  if (heads.width < heads.nope)
    fail_argument(call, kRows, fmt::format("heads of at least {} values", heads.nope));
  const int64_t rope = heads.width - heads.nope;
  return rows_of(call, heads.count * (constant_dim(call, kKvB, 1) + rope));
}

std::vector<FakeOutput> fake_expand_values(const FakeCall& call) {
  const Heads heads = expect_arguments(call);
  if (heads.width != constant_dim(call, kKvB, 1))
    fail_argument(call, kRows, fmt::format("heads of kv_b's {} values", constant_dim(call, kKvB, 1)));
  return rows_of(call, heads.count * heads.value_dim);
}

// Of kv_b each reads its own rows: the part of all that `part` says.
void cost_projection(const CostQuery& query, double part, CallCost& cost) {
  cost.read[kKvB] = part * query.elements(kKvB);
  cost.float_ops = 2.0 * static_cast<double>(query.dim(kRows, 0)) * part * query.elements(kKvB);
}

double value_part(const CostQuery& query) {
  const auto rows = static_cast<double>(query.dim(kKvB, 0) / query.attributes.get_int("num_heads"));
  return static_cast<double>(query.attributes.get_int("v_head_dim")) / rows;
}

void cost_absorb_query(const CostQuery& query, CallCost& cost) {
  cost_projection(query, 1.0 - value_part(query), cost);
}

void cost_expand_values(const CostQuery& query, CallCost& cost) {
  cost_projection(query, value_part(query), cost);
}

Value project(const char* op, Value rows, Value kv_b, Value kv_b_scale, int num_heads, int v_head_dim) {
  return rows.builder().call(op, {rows, kv_b, kv_b_scale},
                             {{"num_heads", int64_t{num_heads}}, {"v_head_dim", int64_t{v_head_dim}}})[0];
}

}  // namespace

Value mla_absorb_query(Value query, Value kv_b, Value kv_b_scale, int num_heads, int v_head_dim) {
  return project("musaic::mla_absorb_query", query, kv_b, kv_b_scale, num_heads, v_head_dim);
}

Value mla_expand_values(Value attended, Value kv_b, Value kv_b_scale, int num_heads, int v_head_dim) {
  return project("musaic::mla_expand_values", attended, kv_b, kv_b_scale, num_heads, v_head_dim);
}

void define_mla_project(OpRegistry& registry) {
  registry.define(
      "musaic::mla_absorb_query(Tensor query, Tensor kv_b, Tensor? kv_b_scale, int num_heads, int "
      "v_head_dim) -> "
      "Tensor",
      {.schema = {},
       .fake = fake_absorb_query,
       .samples = mla_absorb_query_samples,
       .cost = cost_absorb_query});
  registry.define(
      "musaic::mla_expand_values(Tensor attended, Tensor kv_b, Tensor? kv_b_scale, int num_heads, int "
      "v_head_dim) -> Tensor",
      {.schema = {},
       .fake = fake_expand_values,
       .samples = mla_expand_values_samples,
       .cost = cost_expand_values});
}

}  // namespace musaic
