// Latent attention at the sizes of DeepSeek-V2, which have kernels of their own on some devices.
#include <gtest/gtest.h>

#include <cmath>

#include "ops/testing/run_op.h"
#include "tensor/half.h"

namespace musaic::testing {
namespace {

constexpr int kNope = 128, kRope = 64, kValue = 128, kRank = 512, kWidth = kRank + kRope;
constexpr int kHeadDim = kNope + kRope, kKvHead = kNope + kValue, kMaxPages = 16;
constexpr double kScale = 0.08;
// Of the largest result: factors of 11 bits in a device's matrix units.
constexpr double kHalfFactors = 2e-3;
// Float32 rows as two factors of 8 bits each.
constexpr double kSplitFactors = 1e-4;

using Row = std::vector<double>;

struct Sequences {
  std::vector<int> rows, lengths;
  int page_size = 32;

  int tokens() const {
    int sum = 0;
    for (int count : rows) sum += count;
    return sum;
  }
  int pages() const { return static_cast<int>(rows.size()) * kMaxPages; }
  // Pages lie scattered.
  int page(int sequence, int index) const { return (sequence * kMaxPages + index) * 7 % pages(); }
  int slot(int sequence, int position) const {
    return page(sequence, position / page_size) * page_size + position % page_size;
  }
  void add_metadata(std::vector<TestTensor>& inputs) const {
    std::vector<int32_t> start = {0}, table;
    for (size_t s = 0; s < rows.size(); ++s) {
      start.push_back(start.back() + rows[s]);
      for (int i = 0; i < kMaxPages; ++i) table.push_back(page(static_cast<int>(s), i));
    }
    const auto count = static_cast<int64_t>(rows.size());
    inputs.push_back(TestTensor::ints(start));
    inputs.push_back(TestTensor::ints({lengths.begin(), lengths.end()}));
    inputs.push_back(TestTensor::ints(table, {count, kMaxPages}));
    inputs.push_back(TestTensor::ints({static_cast<int32_t>(count)}));
  }
};

TestTensor random_cache(const Sequences& sequences, DType dtype) {
  return TestTensor::random(dtype, {sequences.pages(), 1, sequences.page_size, kWidth}, 2);
}

struct KvB {
  TestTensor weight, scale;
  std::vector<Row> rows;

  KvB(DType dtype, int heads) {
    const bool is_fp8 = dtype == DType::kF8E4M3;
    weight = TestTensor::random(dtype, {heads * kKvHead, kRank}, 3, is_fp8 ? 400 : 0.1f);
    if (is_fp8) scale = TestTensor::random(DType::kF32, {2 * heads, 4}, 4, 0.0003f);
    if (is_fp8) make_positive();
    for (int64_t r = 0; r < heads * kKvHead; ++r) {
      const std::vector<float> values = weight.row(r);
      rows.emplace_back(values.begin(), values.end());
      for (int c = 0; is_fp8 && c < kRank; ++c) rows.back()[c] *= scale.row(r / 128)[c / 128];
    }
  }

 private:
  void make_positive() {
    std::vector<float> values = scale.to_floats();
    for (float& value : values) value = std::abs(value) + 1e-5f;
    scale = TestTensor::floats(values, scale.tensor().shape);
  }
};

double dot(const double* a, const double* b, int count) {
  double sum = 0;
  for (int i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

void round_to_fp8(Row& latent) {
  for (int begin = 0; begin < kRank; begin += 128) {
    float largest = 1e-10f;
    for (int i = begin; i < begin + 128; ++i)
      largest = std::max(largest, std::abs(static_cast<float>(latent[i])));
    const float scale = largest / 448.0f;
    for (int i = begin; i < begin + 128; ++i)
      latent[i] = f8e4m3_to_float(float_to_f8e4m3(static_cast<float>(latent[i]) / scale)) * scale;
  }
}

std::vector<Row> cached_rows(const Sequences& sequences, const TestTensor& cache, int sequence, bool rounds) {
  const std::vector<float> values = cache.to_floats();
  std::vector<Row> out;
  for (int p = 0; p < sequences.lengths[sequence]; ++p) {
    const auto from = values.begin() + static_cast<int64_t>(sequences.slot(sequence, p)) * kWidth;
    out.emplace_back(from, from + kWidth);
    if (rounds) round_to_fp8(out.back());
  }
  return out;
}

// Softmax-weighted sum of the first `seen` latents by their products with `query`, [rank].
Row attend(const std::vector<Row>& latents, int seen, const Row& query) {
  Row scores, sums(kRank);
  double largest = -1e300, weight = 0;
  for (int p = 0; p < seen; ++p) {
    scores.push_back(dot(query.data(), latents[p].data(), kWidth) * kScale);
    largest = std::max(largest, scores.back());
  }
  for (int p = 0; p < seen; ++p) {
    const double share = std::exp(scores[p] - largest);
    weight += share;
    for (int i = 0; i < kRank; ++i) sums[i] += share * latents[p][i];
  }
  for (double& sum : sums) sum /= weight;
  return sums;
}

// A head's query as it meets latents.
Row absorb(const KvB& kv_b, int head, const float* query) {
  Row out(kWidth);
  for (int i = 0; i < kNope; ++i) {
    for (int c = 0; c < kRank; ++c) out[c] += query[i] * kv_b.rows[head * kKvHead + i][c];
  }
  for (int i = 0; i < kRope; ++i) out[kRank + i] = query[kNope + i];
  return out;
}

void expect_near(const std::vector<float>& got, const std::vector<double>& expected, double tolerance,
                 const std::string& what) {
  double largest = 0;
  for (double value : expected) largest = std::max(largest, std::abs(value));
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], expected[i], tolerance * largest) << what << ", value " << i;
}

OpCase expanded_case(const Sequences& sequences, const TestTensor& query, const TestTensor& cache,
                     const KvB& kv_b, int heads) {
  OpCase op_case{.op = "musaic::mla_expanded_attention",
                 .inputs = {query, cache},
                 .attributes = {{"num_heads", int64_t{heads}}, {"scale", kScale}}};
  sequences.add_metadata(op_case.inputs);
  op_case.inputs.push_back(kv_b.weight);
  op_case.inputs.push_back(kv_b.scale);
  return op_case;
}

TEST(MlaDeepseek, ExpandedFollowsTheNaiveLoop) {
  constexpr int kHeads = 2;
  const Sequences sequences = {{5, 1, 70}, {150, 65, 70}};
  for (DType dtype : {DType::kBF16, DType::kF8E4M3}) {
    for (DType cache_dtype : {DType::kBF16, DType::kF16}) {
      const KvB kv_b(dtype, kHeads);
      const TestTensor query = TestTensor::random(DType::kF32, {sequences.tokens(), kHeads * kHeadDim}, 1, 2);
      const TestTensor cache = random_cache(sequences, cache_dtype);
      const OpRun run = check_op(cpu_registry(), expanded_case(sequences, query, cache, kv_b, kHeads));
      std::vector<double> expected;
      int64_t token = 0;
      for (int s = 0; s < 3; ++s) {
        const auto latents = cached_rows(sequences, cache, s, dtype == DType::kF8E4M3);
        for (int row = 0; row < sequences.rows[s]; ++row, ++token) {
          const std::vector<float> q = query.row(token);
          for (int head = 0; head < kHeads; ++head) {
            const int seen = sequences.lengths[s] - sequences.rows[s] + row + 1;
            const Row sums = attend(latents, seen, absorb(kv_b, head, q.data() + head * kHeadDim));
            for (int i = 0; i < kValue; ++i)
              expected.push_back(dot(kv_b.rows[head * kKvHead + kNope + i].data(), sums.data(), kRank));
          }
        }
      }
      expect_near(run.outputs[0].to_floats(), expected, kHalfFactors, std::string(name(dtype)));
    }
  }
}

TEST(MlaDeepseek, AnExpandedRowDependsOnItsSequenceOnly) {
  constexpr int kHeads = 1, kLength = 300, kChunk = 90;
  const KvB kv_b(DType::kF8E4M3, kHeads);
  const Sequences whole = {{kLength, 40}, {kLength, 40}}, chunk = {{kChunk, 1}, {kLength, 40}};
  const TestTensor cache = random_cache(whole, DType::kBF16);
  const TestTensor query = TestTensor::random(DType::kF32, {kLength + 40, kHeads * kHeadDim}, 1, 2);
  std::vector<float> rows;
  for (int row = kLength - kChunk; row <= kLength; ++row) {
    const std::vector<float> values = query.row(row);
    rows.insert(rows.end(), values.begin(), values.end());
  }
  const TestTensor last = TestTensor::floats(rows, {kChunk + 1, kHeads * kHeadDim});
  const OpRun all = run_op(cpu_registry(), expanded_case(whole, query, cache, kv_b, kHeads));
  const OpRun part = run_op(cpu_registry(), expanded_case(chunk, last, cache, kv_b, kHeads));
  for (int row = 0; row < kChunk; ++row)
    EXPECT_EQ(part.outputs[0].row(row), all.outputs[0].row(kLength - kChunk + row)) << row;
}

// A device that makes keys and values ahead does so for the step's first 17,000 positions or so.
TEST(MlaDeepseek, AnExpandedRowDoesNotDependOnLongNeighbours) {
  constexpr int kHeads = 1, kRows = 90, kLength = 300, kPage = 1088;
  const KvB kv_b(DType::kF8E4M3, kHeads);
  const Sequences both = {{2, kRows}, {kMaxPages * kPage, kLength}, kPage};
  const TestTensor cache = random_cache(both, DType::kBF16);
  const TestTensor query = TestTensor::random(DType::kF32, {kRows + 2, kHeads * kHeadDim}, 1, 2);
  std::vector<float> rows;
  for (int row = 2; row < kRows + 2; ++row) {
    const std::vector<float> values = query.row(row);
    rows.insert(rows.end(), values.begin(), values.end());
  }
  OpCase one = expanded_case(both, TestTensor::floats(rows, {kRows, kHeads * kHeadDim}), cache, kv_b, kHeads);
  std::vector<int32_t> table;
  for (int i = 0; i < kMaxPages; ++i) table.push_back(both.page(1, i));
  one.inputs[2] = TestTensor::ints({0, kRows});
  one.inputs[3] = TestTensor::ints({kLength});
  one.inputs[4] = TestTensor::ints(table, {1, kMaxPages});
  one.inputs[5] = TestTensor::ints({1});
  const OpRun alone = run_op(cpu_registry(), one);
  const OpRun all = run_op(cpu_registry(), expanded_case(both, query, cache, kv_b, kHeads));
  for (int row = 0; row < kRows; ++row)
    EXPECT_EQ(all.outputs[0].row(row + 2), alone.outputs[0].row(row)) << row;
}

OpCase absorbed_case(const Sequences& sequences, const TestTensor& query, const TestTensor& cache,
                     int heads) {
  OpCase op_case{.op = "musaic::mla_absorbed_attention",
                 .inputs = {query, cache},
                 .attributes = {{"num_heads", int64_t{heads}}, {"scale", kScale}, {"rank", int64_t{kRank}}}};
  sequences.add_metadata(op_case.inputs);
  return op_case;
}

TEST(MlaDeepseek, AbsorbedFollowsTheNaiveLoop) {
  constexpr int kHeads = 32;
  // Pages that hold whole tiles of positions, and smaller ones.
  for (int page_size : {64, 24}) {
    const DType dtype = page_size == 64 ? DType::kBF16 : DType::kF16;
    const Sequences sequences = {{1, 3, 1, 1}, {150, 70, 1, 64}, page_size};
    const TestTensor query = TestTensor::random(DType::kF32, {sequences.tokens(), kHeads * kWidth}, 1);
    const TestTensor cache = random_cache(sequences, dtype);
    const OpRun run = check_op(cpu_registry(), absorbed_case(sequences, query, cache, kHeads));
    std::vector<double> expected;
    int64_t token = 0;
    for (int s = 0; s < 4; ++s) {
      const auto latents = cached_rows(sequences, cache, s, false);
      for (int row = 0; row < sequences.rows[s]; ++row, ++token) {
        const std::vector<float> q = query.row(token);
        for (int head = 0; head < kHeads; ++head) {
          const Row sums = attend(latents, sequences.lengths[s] - sequences.rows[s] + row + 1,
                                  Row(q.begin() + head * kWidth, q.begin() + (head + 1) * kWidth));
          expected.insert(expected.end(), sums.begin(), sums.end());
        }
      }
    }
    expect_near(run.outputs[0].to_floats(), expected, kSplitFactors, std::string(name(dtype)));
  }
}

TEST(MlaDeepseek, AnAbsorbedRowDependsOnItsSequenceOnly) {
  constexpr int kHeads = 16, kRows = 66;
  Sequences many;
  for (int s = 0; s < kRows; ++s) {
    many.rows.push_back(1);
    many.lengths.push_back(1 + s * 7);
  }
  const TestTensor cache = random_cache(many, DType::kBF16);
  const TestTensor query = TestTensor::random(DType::kF32, {kRows, kHeads * kWidth}, 1);
  const OpRun all = run_op(cpu_registry(), absorbed_case(many, query, cache, kHeads));
  for (int s : {0, 20, 63, 65}) {
    OpCase alone = absorbed_case(many, TestTensor::floats(query.row(s), {1, kHeads * kWidth}), cache, kHeads);
    std::vector<int32_t> table;
    for (int i = 0; i < kMaxPages; ++i) table.push_back(many.page(s, i));
    alone.inputs[2] = TestTensor::ints({0, 1});
    alone.inputs[3] = TestTensor::ints({many.lengths[s]});
    alone.inputs[4] = TestTensor::ints(table, {1, kMaxPages});
    alone.inputs[5] = TestTensor::ints({1});
    const OpRun one = run_op(cpu_registry(), alone);
    EXPECT_EQ(one.outputs[0].row(0), all.outputs[0].row(s)) << s;
  }
}

TEST(MlaDeepseek, ProjectionsFollowTheNaiveLoop) {
  constexpr int kHeads = 2, kRows = 19, kLive = 18;
  const Attributes attributes = {{"num_heads", int64_t{kHeads}}, {"v_head_dim", int64_t{kValue}}};
  for (DType dtype : {DType::kBF16, DType::kF8E4M3}) {
    const KvB kv_b(dtype, kHeads);
    TestTensor query = TestTensor::random(DType::kF32, {kRows, kHeads * kHeadDim}, 1);
    TestTensor attended = TestTensor::random(DType::kF32, {kRows, kHeads * kRank}, 2);
    query.poison_rows(kLive);
    attended.poison_rows(kLive);
    const auto run = [&](const char* op, const TestTensor& rows) {
      return check_op(cpu_registry(), {.op = op,
                                       .inputs = {rows, kv_b.weight, kv_b.scale},
                                       .attributes = attributes,
                                       .live_rows = kLive});
    };
    const OpRun absorbed = run("musaic::mla_absorb_query", query);
    const OpRun expanded = run("musaic::mla_expand_values", attended);
    for (int row = 0; row < kLive; ++row) {
      const std::vector<float> q = query.row(row), a = attended.row(row);
      const Row latent(a.begin(), a.end());
      std::vector<double> queries, values;
      for (int head = 0; head < kHeads; ++head) {
        const Row part = absorb(kv_b, head, q.data() + head * kHeadDim);
        queries.insert(queries.end(), part.begin(), part.end());
        for (int i = 0; i < kValue; ++i)
          values.push_back(
              dot(kv_b.rows[head * kKvHead + kNope + i].data(), latent.data() + head * kRank, kRank));
      }
      expect_near(absorbed.outputs[0].row(row), queries, kSplitFactors,
                  "absorbed " + std::string(name(dtype)));
      expect_near(expanded.outputs[0].row(row), values, kSplitFactors,
                  "expanded " + std::string(name(dtype)));
    }
  }
}

}  // namespace
}  // namespace musaic::testing
