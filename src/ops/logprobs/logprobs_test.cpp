#include "ops/logprobs/logprobs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>

#include "base/status.h"
#include "ops/testing/run_op.h"

namespace musaic {
namespace {

using testing::OpCase;
using testing::OpRun;
using testing::TestTensor;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr int kMaxTop = 6;
constexpr int kMaxProbes = 4;

struct Row {
  std::vector<float> logits;
  int32_t target = 0;
  int32_t top_n = 0;
  std::vector<int32_t> probes;
};

OpCase case_of(const std::vector<Row>& rows, int max_top_n = kMaxTop) {
  const auto num_rows = static_cast<int64_t>(rows.size());
  std::vector<float> logits;
  std::vector<int32_t> target, top_n, probe_count, probe_ids;
  for (const Row& row : rows) {
    logits.insert(logits.end(), row.logits.begin(), row.logits.end());
    target.push_back(row.target);
    top_n.push_back(row.top_n);
    probe_count.push_back(static_cast<int32_t>(row.probes.size()));
    probe_ids.insert(probe_ids.end(), row.probes.begin(), row.probes.end());
    probe_ids.resize(target.size() * kMaxProbes, -77);
  }
  OpCase op_case;
  op_case.op = "musaic::logprobs";
  op_case.attributes = {{"max_top_n", int64_t{max_top_n}}};
  op_case.inputs = {TestTensor::floats(logits, {num_rows, static_cast<int64_t>(rows[0].logits.size())}),
                    TestTensor::ints(target), TestTensor::ints(top_n), TestTensor::ints(probe_count),
                    TestTensor::ints(probe_ids, {num_rows, kMaxProbes})};
  return op_case;
}

struct Result {
  std::vector<float> target;
  std::vector<std::vector<int32_t>> top_ids;
  std::vector<std::vector<float>> top;
  std::vector<std::vector<float>> probes;
};

Result read(const OpRun& run, const std::vector<Row>& rows) {
  Result out{run.outputs[0].to_floats(), {}, {}, {}};
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    const auto wanted = static_cast<size_t>(rows[i].top_n);
    std::vector<int32_t> ids(wanted);
    std::memcpy(ids.data(), run.outputs[1].row_bytes(row).data(), wanted * sizeof(int32_t));
    out.top_ids.push_back(ids);
    out.top.push_back(run.outputs[2].row(row));
    out.top.back().resize(wanted);
    out.probes.push_back(run.outputs[3].row(row));
    out.probes.back().resize(rows[i].probes.size());
  }
  return out;
}

Result logprobs_of(const std::vector<Row>& rows, int max_top_n = kMaxTop) {
  return read(testing::run_op(testing::cpu_registry(), case_of(rows, max_top_n)), rows);
}

std::vector<float> random_logits(int vocab, float scale, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(3.0f, scale);
  std::vector<float> logits(static_cast<size_t>(vocab));
  for (float& logit : logits) logit = normal(random);
  return logits;
}

std::vector<double> naive_logprobs(const std::vector<float>& logits) {
  const double max = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits) sum += std::exp(logit - max);
  std::vector<double> out;
  for (float logit : logits) out.push_back(logit - max - std::log(sum));
  return out;
}

std::vector<int32_t> naive_order(const std::vector<float>& logits) {
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  return ids;
}

TEST(Logprobs, AgreeWithALogSoftmaxInDouble) {
  constexpr double kTolerance = 1e-5;  // the op's contract
  for (int vocab : {7, 1000, 49157, 151936}) {
    std::vector<Row> rows;
    for (float scale : {0.0f, 0.5f, 3.0f, 20.0f}) {
      const auto seed = static_cast<uint32_t>(rows.size());
      rows.push_back({.logits = random_logits(vocab, scale, seed),
                      .target = static_cast<int32_t>(seed) + 1,
                      .top_n = static_cast<int32_t>(seed) + 2,
                      .probes = {0, vocab - 1, vocab / 2}});
    }
    const Result result = logprobs_of(rows);
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto expected = naive_logprobs(rows[i].logits);
      const auto order = naive_order(rows[i].logits);
      EXPECT_NEAR(result.target[i], expected[static_cast<size_t>(rows[i].target)], kTolerance);
      for (size_t j = 0; j < rows[i].probes.size(); ++j)
        EXPECT_NEAR(result.probes[i][j], expected[static_cast<size_t>(rows[i].probes[j])], kTolerance);
      for (size_t j = 0; j < result.top[i].size(); ++j) {
        EXPECT_EQ(result.top_ids[i][j], order[j]);
        EXPECT_NEAR(result.top[i][j], expected[static_cast<size_t>(order[j])], kTolerance);
      }
    }
  }
}

TEST(Logprobs, GiveTheSameBitsOnEveryInstructionSetAndLeavePadRowsAlone) {
  std::vector<Row> rows;
  for (uint32_t i = 0; i < 9; ++i)
    rows.push_back({.logits = random_logits(3001, 2.0f, i), .target = 5, .top_n = 6, .probes = {1, 2}});
  OpCase op_case = case_of(rows);
  op_case.live_rows = 7;
  for (TestTensor& input : op_case.inputs) input.poison_rows(7);
  const OpRun expected = testing::run_op(testing::cpu_registry(), op_case);
  for (CpuIsa isa : testing::available_isas()) {
    op_case.isa = isa;
    const OpRun run = testing::check_op(testing::cpu_registry(), op_case);
    for (size_t i = 0; i < run.outputs.size(); ++i)
      EXPECT_TRUE(run.outputs[i].same_bits(expected.outputs[i])) << name(isa) << " output " << i;
  }
}

TEST(Logprobs, OrderEqualLogitsById) {
  std::vector<float> logits(5000, 1.0f);
  logits[4999] = 2.0f;
  const Result result = logprobs_of({{.logits = logits, .top_n = 4}});
  EXPECT_EQ(result.top_ids[0], (std::vector<int32_t>{4999, 0, 1, 2}));
}

TEST(Logprobs, FindTheBestWhenLogitsRiseAlongTheRow) {
  std::vector<float> logits(49152);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i) * 0.001f;
  const Result result = logprobs_of({{.logits = logits, .top_n = 3}});
  EXPECT_EQ(result.top_ids[0], (std::vector<int32_t>{49151, 49150, 49149}));
}

TEST(Logprobs, SkipWhatIsNotAsked) {
  OpCase op_case = case_of({{.logits = {1.0f, 2.0f}, .target = -1, .top_n = 1, .probes = {0}},
                            {.logits = {1.0f, 2.0f}, .target = -1}});
  const OpRun run = testing::check_op(testing::cpu_registry(), op_case);
  EXPECT_EQ(run.outputs[0].to_floats(), (std::vector<float>{0.0f, 0.0f}));
  for (int output : {1, 2, 3}) EXPECT_TRUE(run.outputs[static_cast<size_t>(output)].row_is_poisoned(1));
  EXPECT_TRUE(std::isnan(run.outputs[2].row(0)[1]));
  EXPECT_TRUE(std::isnan(run.outputs[3].row(0)[1]));
}

TEST(Logprobs, ReadNanAsImpossibleAndSurviveRowsWithoutAnyLogit) {
  const Result result =
      logprobs_of({{.logits = {kNan, 0.0f, -kInf, 0.0f}, .target = 1, .top_n = 4, .probes = {0, 2}},
                   {.logits = {kNan, -kInf, kNan, kNan}, .target = 1, .top_n = 4},
                   {.logits = {0.0f, kInf, 0.0f, 0.0f}, .target = 1, .probes = {-1, 4, 0}}});
  EXPECT_NEAR(result.target[0], std::log(0.5), 1e-6);
  EXPECT_EQ(result.top_ids[0], (std::vector<int32_t>{1, 3, 0, 2}));
  EXPECT_EQ(result.top[0][2], -kInf);
  EXPECT_EQ(result.probes[0], (std::vector<float>{-kInf, -kInf}));
  EXPECT_EQ(result.target[1], -kInf);
  EXPECT_EQ(result.top[1], (std::vector<float>(4, -kInf)));
  EXPECT_EQ(result.target[2], 0.0f);
  EXPECT_EQ(result.probes[2][0], -kInf);
  EXPECT_EQ(result.probes[2][1], -kInf);
}

TEST(Logprobs, FillUpATopListLongerThanTheVocabulary) {
  const Result result = logprobs_of({{.logits = {1.0f, 3.0f, 2.0f}, .top_n = 5}});
  EXPECT_EQ(result.top_ids[0], (std::vector<int32_t>{1, 2, 0, -1, -1}));
  EXPECT_EQ(result.top[0][4], -kInf);
}

TEST(Logprobs, RefuseProbesThatDoNotFitTheLogits) {
  OpCase op_case = case_of({{.logits = {1.0f, 2.0f}}});
  op_case.inputs[4] = TestTensor::ints({1, 2}, {2, 1});
  EXPECT_THROW(testing::run_op(testing::cpu_registry(), op_case), LoadError);
}

}  // namespace
}  // namespace musaic
