#include "ops/mla_attention/mla_attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/status.h"
#include "ops/testing/run_op.h"
#include "tensor/half.h"

namespace musaic::testing {
namespace {

constexpr int kHeads = 4, kNope = 24, kRope = 8, kValue = 40, kRank = 136, kWidth = kRank + kRope;
constexpr int kHeadDim = kNope + kRope, kKvHead = kNope + kValue, kPageSize = 8, kMaxPages = 30;
constexpr double kScale = 0.2;

// Sequences of `lengths` tokens, the last `rows` of each in this step, in a cache of scattered pages.
struct Step {
  std::vector<int> lengths, rows;

  int tokens() const {
    int sum = 0;
    for (int count : rows) sum += count;
    return sum;
  }
  static int page(int sequence, int index) { return (sequence * kMaxPages + index) * 7 % (4 * kMaxPages); }
  static int slot(int sequence, int position) {
    return page(sequence, position / kPageSize) * kPageSize + position % kPageSize;
  }
  std::vector<TestTensor> metadata() const {
    std::vector<int32_t> start = {0}, table;
    for (size_t s = 0; s < rows.size(); ++s) {
      start.push_back(start.back() + rows[s]);
      for (int i = 0; i < kMaxPages; ++i) table.push_back(page(static_cast<int>(s), i));
    }
    const auto count = static_cast<int64_t>(rows.size());
    return {TestTensor::ints(start), TestTensor::ints({lengths.begin(), lengths.end()}),
            TestTensor::ints(table, {count, kMaxPages}), TestTensor::ints({static_cast<int32_t>(count)})};
  }
};

const Step kStep = {{150, 65, 13, 1}, {5, 1, 13, 1}};

using Matrix = std::vector<std::vector<double>>;

Matrix rows_of(const TestTensor& tensor) {
  Matrix out;
  for (int64_t i = 0; i < tensor.tensor().shape[0]; ++i) {
    const std::vector<float> row = tensor.row(i);
    out.emplace_back(row.begin(), row.end());
  }
  return out;
}

// The cached rows by slot.
Matrix cache_rows(const TestTensor& cache) {
  const std::vector<float> values = cache.to_floats();
  Matrix out(values.size() / kWidth);
  for (size_t i = 0; i < values.size(); ++i) out[i / kWidth].push_back(values[i]);
  return out;
}

double dot(const double* a, const double* b, int count) {
  double sum = 0;
  for (int i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

// Softmax-weighted sums of `value(position)` by `score(position)` over positions [0, count).
template <class Score, class Value>
std::vector<double> attend(int count, const Score& score, const Value& value) {
  std::vector<double> scores, sums;
  double largest = -1e300, weight = 0;
  for (int p = 0; p < count; ++p) {
    scores.push_back(score(p));
    largest = std::max(largest, scores.back());
  }
  for (int p = 0; p < count; ++p) {
    const double w = std::exp(scores[p] - largest);
    const std::vector<double> v = value(p);
    sums.resize(v.size());
    weight += w;
    for (size_t i = 0; i < v.size(); ++i) sums[i] += w * v[i];
  }
  for (double& sum : sums) sum /= weight;
  return sums;
}

// A group of 128 through FP8 and back.
void round_to_fp8(std::vector<double>& latent) {
  for (int begin = 0; begin < kRank; begin += 128) {
    const int end = std::min(begin + 128, kRank);
    float largest = 1e-10f;
    for (int i = begin; i < end; ++i) largest = std::max(largest, std::abs(static_cast<float>(latent[i])));
    const float scale = largest / 448.0f;
    for (int i = begin; i < end; ++i)
      latent[i] = f8e4m3_to_float(float_to_f8e4m3(static_cast<float>(latent[i]) / scale)) * scale;
  }
}

struct KvB {
  TestTensor weight, scale;
  Matrix values;

  explicit KvB(DType dtype) {
    const bool is_fp8 = dtype == DType::kF8E4M3;
    weight = TestTensor::random(dtype, {kHeads * kKvHead, kRank}, 3, is_fp8 ? 400 : 0.2f);
    values = rows_of(weight);
    if (!is_fp8) return;
    const TestTensor blocks = TestTensor::random(DType::kF32, {2, 2}, 4, 0.0005f);
    scale = blocks;
    for (size_t r = 0; r < values.size(); ++r) {
      for (size_t c = 0; c < values[r].size(); ++c)
        values[r][c] *= blocks.row(static_cast<int64_t>(r / 128))[c / 128];
    }
  }
};

OpCase expanded_case(const Step& step, const TestTensor& query, const TestTensor& cache, const KvB& kv_b,
                     CpuIsa isa) {
  OpCase op_case{.op = "musaic::mla_expanded_attention",
                 .inputs = {query, cache},
                 .attributes = {{"num_heads", int64_t{kHeads}}, {"scale", kScale}},
                 .isa = isa};
  for (const TestTensor& tensor : step.metadata()) op_case.inputs.push_back(tensor);
  op_case.inputs.push_back(kv_b.weight);
  op_case.inputs.push_back(kv_b.scale);
  return op_case;
}

TestTensor random_cache(DType dtype) {
  return TestTensor::random(dtype, {4 * kMaxPages, 1, kPageSize, kWidth}, 2);
}

class MlaAttention : public ::testing::TestWithParam<CpuIsa> {
 protected:
  const OpRegistry registry_ = cpu_registry();
};

INSTANTIATE_TEST_SUITE_P(Isas, MlaAttention, ::testing::ValuesIn(available_isas()),
                         [](const auto& isa) { return std::string(name(isa.param)); });

TEST_P(MlaAttention, ExpandedFollowsTheNaiveLoop) {
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF8E4M3}) {
    const KvB kv_b(dtype);
    const TestTensor query = TestTensor::random(DType::kF32, {kStep.tokens(), kHeads * kHeadDim}, 1, 2);
    const TestTensor cache = random_cache(dtype == DType::kBF16 ? DType::kF16 : DType::kF32);
    const OpRun run = check_op(registry_, expanded_case(kStep, query, cache, kv_b, GetParam()));
    const Matrix queries = rows_of(query), latents = cache_rows(cache), got = rows_of(run.outputs[0]);
    int token = 0;
    for (int s = 0; s < 4; ++s) {
      for (int row = 0; row < kStep.rows[s]; ++row, ++token) {
        for (int head = 0; head < kHeads; ++head) {
          const double* q = queries[token].data() + head * kHeadDim;
          const auto latent_at = [&](int p) {
            std::vector<double> latent = latents[Step::slot(s, p)];
            if (dtype == DType::kF8E4M3) round_to_fp8(latent);
            return latent;
          };
          const auto score = [&](int p) {
            const std::vector<double> latent = latent_at(p);
            double sum = dot(q + kNope, latent.data() + kRank, kRope);
            for (int i = 0; i < kNope; ++i)
              sum += q[i] * dot(kv_b.values[head * kKvHead + i].data(), latent.data(), kRank);
            return sum * kScale;
          };
          const auto value = [&](int p) {
            const std::vector<double> latent = latent_at(p);
            std::vector<double> v;
            for (int i = 0; i < kValue; ++i)
              v.push_back(dot(kv_b.values[head * kKvHead + kNope + i].data(), latent.data(), kRank));
            return v;
          };
          const auto expected = attend(kStep.lengths[s] - kStep.rows[s] + row + 1, score, value);
          for (int i = 0; i < kValue; ++i)
            ASSERT_NEAR(got[token][head * kValue + i], expected[i], 2e-5)
                << name(dtype) << ", token " << token << ", head " << head;
        }
      }
    }
  }
}

TEST_P(MlaAttention, AbsorbedGivesWhatExpandedGives) {
  for (DType dtype : {DType::kF32, DType::kF16}) {
    const KvB kv_b(dtype);
    const TestTensor query = TestTensor::random(DType::kF32, {kStep.tokens(), kHeads * kHeadDim}, 1, 2);
    const TestTensor cache = random_cache(dtype);
    const OpRun expanded = run_op(registry_, expanded_case(kStep, query, cache, kv_b, GetParam()));
    const Attributes projection = {{"num_heads", int64_t{kHeads}}, {"v_head_dim", int64_t{kValue}}};
    const OpRun absorbed = check_op(registry_, {.op = "musaic::mla_absorb_query",
                                                .inputs = {query, kv_b.weight, {}},
                                                .attributes = projection,
                                                .isa = GetParam()});
    OpCase attention{
        .op = "musaic::mla_absorbed_attention",
        .inputs = {absorbed.outputs[0], cache},
        .attributes = {{"num_heads", int64_t{kHeads}}, {"scale", kScale}, {"rank", int64_t{kRank}}},
        .isa = GetParam()};
    for (const TestTensor& tensor : kStep.metadata()) attention.inputs.push_back(tensor);
    const OpRun attended = check_op(registry_, attention);
    const OpRun values = check_op(registry_, {.op = "musaic::mla_expand_values",
                                              .inputs = {attended.outputs[0], kv_b.weight, {}},
                                              .attributes = projection,
                                              .isa = GetParam()});
    const std::vector<float> got = values.outputs[0].to_floats(), expected = expanded.outputs[0].to_floats();
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], 2e-5) << i;
  }
}

TEST_P(MlaAttention, ARowDependsOnItsSequenceOnly) {
  const KvB kv_b(DType::kF8E4M3);
  const TestTensor cache = random_cache(DType::kF16);
  const TestTensor query = TestTensor::random(DType::kF32, {150, kHeads * kHeadDim}, 1, 2);
  const OpRun whole = run_op(registry_, expanded_case({{150}, {150}}, query, cache, kv_b, GetParam()));
  // The last rows again, in a chunk behind a cached prefix and beside another sequence.
  std::vector<float> rows;
  for (int row :
       {133, 134, 135, 136, 137, 138, 139, 140, 141, 142, 143, 144, 145, 146, 147, 148, 149, 3, 4}) {
    const std::vector<float> values = query.row(row);
    rows.insert(rows.end(), values.begin(), values.end());
  }
  const OpRun chunk =
      run_op(registry_, expanded_case({{150, 40}, {17, 2}}, TestTensor::floats(rows, {19, kHeads * kHeadDim}),
                                      cache, kv_b, GetParam()));
  for (int row = 0; row < 17; ++row)
    EXPECT_EQ(chunk.outputs[0].row(row), whole.outputs[0].row(133 + row)) << row;
}

TEST(MlaAttentionFake, WrongSizesAreRefused) {
  const OpRegistry registry = cpu_registry();
  GraphBuilder builder(registry, "g", {});
  const Dim tokens = Dim::symbol("tokens"), sequences = Dim::symbol("sequences");
  const auto ints = [&](const char* name, DimShape shape) {
    return builder.input(name, DType::kI32, std::move(shape));
  };
  const MlaArguments arguments{
      .query = builder.input("query", DType::kF32, {tokens, 2 * 24}),
      .cache = builder.state("cache", DType::kF16, {Dim::symbol("pages"), 1, 16, 40}),
      .query_start = ints("query_start", {sequences + 1}),
      .kv_lengths = ints("kv_lengths", {sequences}),
      .page_table = ints("page_table", {sequences, 4}),
      .num_sequences = ints("num_sequences", {1}),
      .num_heads = 2,
      .scale = 1};
  const auto kv_b = [&](const char* name, DType dtype, int64_t rows, int64_t rank) {
    return builder.weight({name}, dtype, {rows, rank});
  };
  EXPECT_EQ(
      to_string(mla_expanded_attention(arguments, kv_b("right", DType::kBF16, 2 * (16 + 20), 32)).meta()),
      "f32[tokens, 40] cpu");
  EXPECT_THROW(mla_expanded_attention(arguments, kv_b("wide", DType::kBF16, 72, 40)), LoadError);
  EXPECT_THROW(mla_expanded_attention(arguments, kv_b("no_values", DType::kBF16, 32, 32)), LoadError);
  EXPECT_THROW(mla_expanded_attention(arguments, kv_b("no_scale", DType::kF8E4M3, 72, 32)), LoadError);
  EXPECT_THROW(mla_absorbed_attention(arguments, 32), LoadError) << "heads of 24, cached rows of 40";
}

}  // namespace
}  // namespace musaic::testing
