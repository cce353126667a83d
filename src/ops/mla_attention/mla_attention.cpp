#include "ops/mla_attention/mla_attention.h"

#include <cmath>

#include "ops/mla_attention/kv_b_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

constexpr int64_t kGranule = 8;  // of page_size: the narrowest vector of any kernel
enum Input { kQuery, kCache, kQueryStart, kKvLengths, kPageTable, kNumSequences, kKvB, kKvBScale };

constexpr MlaPages kPages = {kCache, kQueryStart};

void expect_cache(const FakeCall& call, int cache) {
  expect_rank(call, cache, 4);
  expect_float(call, cache);
  expect_contiguous(call, cache);
  expect_dim(call, cache, 1, 1);
  const int64_t page_size = constant_dim(call, cache, 2);
  if (page_size <= 0 || page_size % kGranule != 0)
    fail_argument(call, cache, "a page size (dimension 2) that is a multiple of 8");
}

void expect_metadata(const FakeCall& call, const MlaPages& pages) {
  for (int input = pages.query_start; input <= pages.num_sequences(); ++input) {
    expect_dtype(call, input, DType::kI32);
    expect_contiguous(call, input);
  }
  expect_rank(call, pages.query_start, 1);
  expect_rank(call, pages.kv_lengths(), 1);
  expect_rank(call, pages.page_table(), 2);
  expect_dim(call, pages.page_table(), 0, call.input(pages.kv_lengths()).dim(0));
  expect_shape(call, pages.num_sequences(), {1});
}

void expect_start_of_each(const FakeCall& call) {
  expect_shape(call, kQueryStart, {call.input(kKvLengths).dim(0) + 1});
}

// Values of one query head.
int64_t query_head_dim(const FakeCall& call) {
  const int64_t heads = call.attributes.get_int("num_heads");
  expect_rank(call, kQuery, 2);
  expect_float(call, kQuery);
  expect_dense_rows(call, kQuery);
  const int64_t width = constant_dim(call, kQuery, 1);
  if (heads <= 0 || width % heads != 0)
    fail_argument(call, kQuery, fmt::format("a last dimension of {} whole heads", heads));
  return width / heads;
}

std::vector<FakeOutput> rows_of_heads(const FakeCall& call, int64_t head_dim) {
  const Meta& query = call.input(kQuery);
  const Dim width = call.attributes.get_int("num_heads") * head_dim;
  return {{Meta::contiguous(DType::kF32, {query.dim(0), width}, query.device)}};
}

std::vector<FakeOutput> fake_expanded(const FakeCall& call) {
  return rows_of_heads(call, expect_expanded_attention(call));
}

std::vector<FakeOutput> fake_absorbed(const FakeCall& call) {
  expect_absorbed_attention(call);
  return rows_of_heads(call, call.attributes.get_int("rank"));
}

// What a step's rows see: pairs of row and position, and positions that any row sees.
struct SeenPositions {
  double pairs;
  double positions;
};

SeenPositions seen_positions(const CostQuery& query) {
  const double sequences = static_cast<double>(query.extent.sequences);
  const double past = static_cast<double>(query.extent.past);
  const double rows = static_cast<double>(query.dim(kQuery, 0)) / sequences;
  return {sequences * (rows * past + rows * (rows + 1) / 2), sequences * (past + rows)};
}

void cost_cache(const CostQuery& query, const MlaPages& pages, const SeenPositions& seen, CallCost& cost) {
  const double sequences = static_cast<double>(query.extent.sequences);
  cost.read[pages.cache] = seen.positions * static_cast<double>(query.dim(pages.cache, 3));
  cost.read[pages.query_start] = sequences + 1;
  cost.read[pages.kv_lengths()] = sequences;
  cost.read[pages.page_table()] =
      sequences * std::ceil(seen.positions / sequences / static_cast<double>(query.dim(pages.cache, 2)));
}

void cost_absorbed(const CostQuery& query, CallCost& cost) {
  cost_absorbed_attention(query, query.attributes.get_int("rank"), cost);
}

}  // namespace

void expect_pages(const FakeCall& call, const MlaPages& pages) {
  expect_cache(call, pages.cache);
  expect_metadata(call, pages);
}

int64_t expect_expanded_attention(const FakeCall& call) {
  expect_pages(call, kPages);
  expect_start_of_each(call);
  const int64_t head_dim = query_head_dim(call);
  const int64_t kv_head_dim = expect_kv_b(call, kKvB, call.attributes.get_int("num_heads"));
  const int64_t rope = constant_dim(call, kCache, 3) - constant_dim(call, kKvB, 1);
  if (rope <= 0 || rope >= head_dim)
    fail_argument(call, kCache,
                  fmt::format("a last dimension of kv_b's {} and a rotated part below the query head's {}",
                              constant_dim(call, kKvB, 1), head_dim));
  const int64_t value_dim = kv_head_dim - (head_dim - rope);
  if (value_dim <= 0) fail_argument(call, kKvB, fmt::format("more than {} rows a head", head_dim - rope));
  return value_dim;
}

// Every position seen is expanded once; then scores and sums.
void cost_expanded_attention(const CostQuery& query, CallCost& cost) {
  const SeenPositions seen = seen_positions(query);
  cost_cache(query, kPages, seen, cost);
  const double widths = static_cast<double>(query.dim(kQuery, 1) + query.outputs[0].shape[1]);
  cost.float_ops = 2.0 * seen.positions * query.elements(kKvB) + 2.0 * seen.pairs * widths;
}

void expect_absorbed_attention(const FakeCall& call) {
  expect_pages(call, kPages);
  expect_start_of_each(call);
  const int64_t rank = call.attributes.get_int("rank");
  if (rank <= 0 || rank >= constant_dim(call, kCache, 3))
    fail_argument(call, kCache, fmt::format("a last dimension above the rank, {}", rank));
  if (query_head_dim(call) != constant_dim(call, kCache, 3))
    fail_argument(call, kQuery, "heads as wide as the cache's rows");
}

double cost_absorbed_pages(const CostQuery& query, const MlaPages& pages, int64_t rank, CallCost& cost) {
  const SeenPositions seen = seen_positions(query);
  cost_cache(query, pages, seen, cost);
  const double heads = static_cast<double>(query.attributes.get_int("num_heads"));
  return 2.0 * seen.pairs * heads * static_cast<double>(query.dim(pages.cache, 3) + rank);
}

void cost_absorbed_attention(const CostQuery& query, int64_t rank, CallCost& cost) {
  cost.float_ops = cost_absorbed_pages(query, kPages, rank, cost);
}

Value mla_expanded_attention(const MlaArguments& a, Value kv_b, Value kv_b_scale) {
  return a.query.builder().call(
      "musaic::mla_expanded_attention",
      {a.query, a.cache, a.query_start, a.kv_lengths, a.page_table, a.num_sequences, kv_b, kv_b_scale},
      {{"num_heads", int64_t{a.num_heads}}, {"scale", a.scale}})[0];
}

Value mla_absorbed_attention(const MlaArguments& a, int rank) {
  return a.query.builder().call(
      "musaic::mla_absorbed_attention",
      {a.query, a.cache, a.query_start, a.kv_lengths, a.page_table, a.num_sequences},
      {{"num_heads", int64_t{a.num_heads}}, {"scale", a.scale}, {"rank", int64_t{rank}}})[0];
}

void define_mla_attention(OpRegistry& registry) {
  registry.define(
      "musaic::mla_expanded_attention(Tensor query, Tensor cache, Tensor query_start, Tensor kv_lengths, "
      "Tensor "
      "page_table, Tensor num_sequences, Tensor kv_b, Tensor? kv_b_scale, int num_heads, float scale) -> "
      "Tensor",
      {.schema = {},
       .fake = fake_expanded,
       .samples = mla_expanded_attention_samples,
       .is_break = true,
       .break_reason = kMlaBreakReason,
       .cost = cost_expanded_attention});
  registry.define(
      "musaic::mla_absorbed_attention(Tensor query, Tensor cache, Tensor query_start, Tensor kv_lengths, "
      "Tensor "
      "page_table, Tensor num_sequences, int num_heads, float scale, int rank) -> Tensor",
      {.schema = {},
       .fake = fake_absorbed,
       .samples = mla_absorbed_attention_samples,
       .is_break = true,
       .break_reason = kMlaBreakReason,
       .cost = cost_absorbed});
}

}  // namespace musaic
