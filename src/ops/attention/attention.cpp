#include "ops/attention/attention.h"

#include <cmath>

#include "ops/fake_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

constexpr int64_t kMaxHeadDim = 256;
constexpr int64_t kGranule = 8;  // of head_dim and page_size: the narrowest vector of any kernel

enum Input { kQuery, kKeyCache, kValueCache, kQueryStart, kKvLengths, kPageTable, kNumSequences };

void expect_cache(const FakeCall& call) {
  expect_rank(call, kKeyCache, 4);
  expect_cached(call, kKeyCache);
  expect_contiguous(call, kKeyCache);
  const int64_t page_size = constant_dim(call, kKeyCache, 2);
  const int64_t head_dim = constant_dim(call, kKeyCache, 3);
  if (page_size <= 0 || page_size % kGranule != 0)
    fail_argument(call, kKeyCache, "a page size (dimension 2) that is a multiple of 8");
  if (head_dim <= 0 || head_dim % kGranule != 0 || head_dim > kMaxHeadDim)
    fail_argument(call, kKeyCache, "a head dimension (3) that is a multiple of 8, at most 256");
  expect_dtype(call, kValueCache, call.input(kKeyCache).dtype);
  expect_shape(call, kValueCache, call.input(kKeyCache).shape);
  expect_contiguous(call, kValueCache);
}

void expect_metadata(const FakeCall& call) {
  for (int input : {kQueryStart, kKvLengths, kPageTable, kNumSequences}) {
    expect_dtype(call, input, DType::kI32);
    expect_contiguous(call, input);
  }
  expect_rank(call, kKvLengths, 1);
  const Dim& sequences = call.input(kKvLengths).dim(0);
  expect_shape(call, kQueryStart, {sequences + 1});
  expect_rank(call, kPageTable, 2);
  expect_dim(call, kPageTable, 0, sequences);
  expect_shape(call, kNumSequences, {1});
}

std::vector<FakeOutput> fake_paged_attention(const FakeCall& call) {
  const Meta& query = call.input(kQuery);
  const int64_t num_heads = call.attributes.get_int("num_heads");
  expect_cache(call);
  const int64_t kv_heads = constant_dim(call, kKeyCache, 1);
  if (num_heads <= 0 || num_heads % kv_heads != 0)
    fail_argument(call, kKeyCache, fmt::format("a number of heads (dimension 1) that divides {}", num_heads));
  expect_rank(call, kQuery, 2);
  expect_float(call, kQuery);
  expect_dense_rows(call, kQuery);
  expect_dim(call, kQuery, 1, num_heads * constant_dim(call, kKeyCache, 3));
  expect_metadata(call);
  return {{Meta::contiguous(query.dtype, query.shape, query.device)}};
}

// Row j of n sees the past and j + 1 rows; a score and its share of the sum are a multiply-add each.
void cost_paged_attention(const CostQuery& query, CallCost& cost) {
  const StepExtent& extent = query.extent;
  const double sequences = static_cast<double>(extent.sequences);
  const double past = static_cast<double>(extent.past);
  const double rows = static_cast<double>(query.dim(kQuery, 0)) / sequences;
  const double pairs = sequences * (rows * past + rows * (rows + 1) / 2);
  cost.float_ops = 4.0 * pairs * static_cast<double>(query.dim(kQuery, 1));
  const double row_size = static_cast<double>(query.dim(kKeyCache, 1) * query.dim(kKeyCache, 3));
  cost.read[kKeyCache] = cost.read[kValueCache] = sequences * (past + rows) * row_size;
  cost.read[kQueryStart] = sequences + 1;
  cost.read[kKvLengths] = sequences;
  cost.read[kPageTable] = sequences * std::ceil((past + rows) / static_cast<double>(query.dim(kKeyCache, 2)));
}

}  // namespace

Value paged_attention(const PagedAttentionArguments& arguments) {
  const PagedAttentionArguments& a = arguments;
  return a.query.builder().call(
      "musaic::paged_attention",
      {a.query, a.key_cache, a.value_cache, a.query_start, a.kv_lengths, a.page_table, a.num_sequences},
      {{"num_heads", int64_t{a.num_heads}}, {"scale", a.scale}})[0];
}

void define_attention(OpRegistry& registry) {
  registry.define(
      "musaic::paged_attention(Tensor query, Tensor key_cache, Tensor value_cache, Tensor query_start, "
      "Tensor kv_lengths, Tensor page_table, Tensor num_sequences, int num_heads, float scale) -> Tensor",
      {.schema = {},
       .fake = fake_paged_attention,
       .samples = paged_attention_samples,
       .is_break = true,
       .break_reason = "its work depends on how long each sequence is, which no recorded launch can know",
       .cost = cost_paged_attention});
}

}  // namespace musaic
