// DeepSeek-V2 as a whole: FP8 against its goldens, and what holds of every step whatever its company.
#include <gmock/gmock.h>

#include <atomic>
#include <cmath>
#include <cstring>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/cpu_stream.h"
#include "backends/simulated/simulated_backend.h"
#include "device/row_invariant.h"
#include "ops/kernels_cpu.h"
#include "runner/model_for_test.h"

namespace musaic {
namespace {

constexpr const char* kFp8 = "deepseek_v2_fp8";

std::vector<TokenId> some_tokens(int count, int seed) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((i * 37 + seed * 101 + i * i * 7) % 512);
  return tokens;
}

std::vector<float> logits_of(TinyModel& model, const Batch& batch) {
  std::vector<float> all;
  model.runner().observe_logits([&](std::span<const HeadRow> rows, const float* logits) {
    all.insert(all.end(), logits, logits + rows.size() * 512);
  });
  model.run(batch);
  return all;
}

bool equal_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// |a - b| / |b|, as vectors.
double relative_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    difference += std::pow(double{a[i]} - b[i], 2);
    size += double{b[i]} * b[i];
  }
  return std::sqrt(difference / size);
}

// On the lowest and on the highest instruction set.
class DeepseekFp8 : public testing::TestWithParam<CpuIsa> {
 protected:
  static TinyModel fp8_model() {
    return TinyModel(kFp8, {},
                     {.backend = std::make_unique<CpuBackend>(CpuBackendOptions{.isa = GetParam()})});
  }
};

INSTANTIATE_TEST_SUITE_P(Isas, DeepseekFp8, testing::Values(CpuIsa::kAvx2, detect_cpu_isa()),
                         [](const auto& param) {
                           return std::to_string(param.index) + "_" + std::string(name(param.param));
                         });

// A value of FP8 is one of few: what lies near the middle of two goes to either side by the last bit of a
// float32 sum, and a flip makes further ones in every linear behind. In long prompts no two orders of
// summation agree: a numpy forward moves by 0.05 to 0.11 when its embeddings change by 1e-7. Short prompts
// are exact.
constexpr size_t kShortPrompt = 8;

TEST_P(DeepseekFp8, GivesTheGoldenLogitsOfShortPromptsWithQuantizedActivations) {
  TinyModel model = fp8_model();
  const auto without = read_test_json("tiny/deepseek_v2_fp8/golden.json").at("golden_no_activation_quant");
  for (size_t i = 0; i < model.golden().size(); ++i) {
    const std::vector<TokenId> ids = model.golden()[i]["input_ids"];
    const auto logits = logits_of(model, {StepKind::kExtend, {model.sequence(0, ids, 0, true)}});
    const bool is_short = ids.size() <= kShortPrompt;
    EXPECT_LT(relative_distance(logits, model.golden()[i]["last_logits"]), is_short ? 0.03 : 0.2) << i;
    if (!is_short) continue;
    EXPECT_GT(relative_distance(logits, without[i]["last_logits"]), 0.05) << i;
  }
}

// Log-probabilities of the prompt, by position.
std::vector<float> prompt_logprobs(TinyModel& model, const std::vector<TokenId>& ids) {
  BatchSequence sequence = model.sequence(0, ids, 0, true);
  sequence.logprob_begin = 0;
  sequence.logprob_end = static_cast<int>(ids.size()) - 1;
  sequence.logprob_targets.assign(ids.begin() + 1, ids.end());
  const StepOutput output = model.run({StepKind::kExtend, {sequence}});
  std::vector<float> out;
  for (const auto& logprob : output.sequences[0].input_logprobs) out.push_back(logprob.logprob);
  return out;
}

double mean_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < b.size(); ++i) sum += std::abs(a[i] - b[i]) / static_cast<double>(b.size());
  return sum;
}

TEST_P(DeepseekFp8, FollowsTheGoldensWithQuantizedActivationsAtEveryPosition) {
  TinyModel model = fp8_model();
  const auto without = read_test_json("tiny/deepseek_v2_fp8/golden.json").at("golden_no_activation_quant");
  int positions = 0, exact = 0;
  for (size_t i = 0; i < model.golden().size(); ++i) {
    const std::vector<TokenId> ids = model.golden()[i]["input_ids"];
    if (ids.size() < 2) continue;
    const std::vector<float> got = prompt_logprobs(model, ids);
    const std::vector<float> expected = model.golden()[i]["input_logprobs"];
    EXPECT_LT(mean_distance(got, expected), 0.75 * mean_distance(got, without[i]["input_logprobs"])) << i;
    for (size_t p = 0; p < std::min<size_t>(4, expected.size()); ++p, ++positions)
      exact += std::abs(got[p] - expected[p]) < 1e-3;
  }
  EXPECT_GE(exact, positions * 3 / 4) << "of " << positions << " first positions";
}

// Every token from an extend step behind the golden's own: what decoding absorbs is not quantized.
TEST_P(DeepseekFp8, GivesTheGoldenTokensWhereverTheGapIsAboveTheNoiseOfFp8) {
  TinyModel model = fp8_model();
  int compared = 0;
  for (const auto& golden : model.golden()) {
    std::vector<TokenId> tokens = golden["input_ids"];
    const std::vector<TokenId> expected = golden["greedy"];
    const std::vector<double> gaps = golden["top2_gap"];
    for (size_t i = 0; i < expected.size(); ++i) {
      const auto output = model.run({StepKind::kExtend, {model.sequence(0, tokens, 0, true)}});
      tokens.push_back(expected[i]);
      if (gaps[i] < 0.5) continue;
      ASSERT_EQ(output.sequences[0].tokens[0], expected[i]) << i;
      ++compared;
    }
  }
  EXPECT_GT(compared, 5);
}

TEST_P(DeepseekFp8, DecodingStaysNearWhatExtendingGives) {
  TinyModel model = fp8_model();
  const auto prompt = some_tokens(40, 2);
  model.run({StepKind::kExtend, {model.sequence(0, prompt, 0, false)}});
  const auto decoded = logits_of(model, {StepKind::kDecode, {model.sequence(0, {7}, 40, true)}});
  auto longer = prompt;
  longer.push_back(7);
  const auto extended = logits_of(model, {StepKind::kExtend, {model.sequence(1, longer, 0, true)}});
  EXPECT_LT(relative_distance(decoded, extended), 0.1) << "kv_b's input is quantized in one of them";
}

class Deepseek : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Tiny, Deepseek, testing::Values("deepseek_v2", "deepseek_v2_fp8"),
                         [](const auto& param) { return std::string(param.param); });

TEST_P(Deepseek, EagerAndReplayedLogitsAreEqualBitForBitAtEachBucketAndItsNeighbours) {
  TinyModel model(GetParam(), {.max_tokens_per_step = 64, .max_graph_tokens = 64, .max_sequences = 6});
  while (model.runner().capture_next()) {
  }
  const auto expect_equal = [&](const Batch& batch, const std::string& what) {
    model.runner().force_eager(true);
    model.runner().poison_arena();
    const auto eager = logits_of(model, batch);
    model.runner().force_eager(false);
    model.runner().poison_arena();
    const auto replayed = logits_of(model, batch);
    EXPECT_TRUE(equal_bits(eager, replayed)) << what;
    EXPECT_FALSE(std::isnan(replayed[0])) << what << " read what no node had written";
  };
  for (int bucket : model.runner().extend().bucket_sizes()) {
    for (int tokens : {bucket - 1, bucket, bucket + 1}) {
      if (tokens < 1 || tokens > 64) continue;
      expect_equal({StepKind::kExtend, {model.sequence(0, some_tokens(tokens, bucket), 0, true)}},
                   std::to_string(tokens) + " tokens");
    }
  }
  Batch decode{StepKind::kDecode, {}};
  for (int s = 0; s < 5; ++s) {
    model.run({StepKind::kExtend, {model.sequence(s, some_tokens(9 + s * 5, s), 0, false)}});
    decode.sequences.push_back(model.sequence(s, {s + 3}, 9 + s * 5, true));
    expect_equal(decode, "decoding " + std::to_string(s + 1));
  }
}

TEST_P(Deepseek, ASequenceDoesNotSeeItsNeighboursNorItsChunksNorItsPrefix) {
  TinyModel model(GetParam());
  const auto prompt = some_tokens(90, 3);
  const auto expected = logits_of(model, {StepKind::kExtend, {model.sequence(0, prompt, 0, true)}});
  for (int chunk : {7, 16, 33}) {
    for (int start = 0; start < 90; start += chunk) {
      const int end = std::min(90, start + chunk);
      const auto rows = logits_of(
          model, {StepKind::kExtend,
                  {model.sequence(1, {prompt.begin() + start, prompt.begin() + end}, start, end == 90)}});
      if (end < 90) continue;
      EXPECT_TRUE(equal_bits(rows, expected)) << "chunks of " << chunk;
    }
  }
  Batch mixed{StepKind::kExtend, {}};
  mixed.sequences.push_back(model.sequence(2, some_tokens(31, 9), 0, true));
  mixed.sequences.push_back(model.sequence(4, prompt, 0, true));
  mixed.sequences.push_back(model.sequence(1, {prompt.begin() + 64, prompt.end()}, 64, true));
  const auto rows = logits_of(model, mixed);
  ASSERT_EQ(rows.size(), 3u * 512);
  EXPECT_TRUE(equal_bits({rows.begin() + 512, rows.begin() + 1024}, expected));
  EXPECT_TRUE(equal_bits({rows.begin() + 1024, rows.end()}, expected)) << "behind a cached prefix";
}

TestDevice deterministic_device() {
  TestDevice device;
  device.has = {std::string(kRowInvariant)};
  device.one_form = true;
  return device;
}

TEST_P(Deepseek, InOneFormATokenHasTheSameBitsInExtendAndDecodeSteps) {
  TinyModel model(GetParam(), {}, deterministic_device());
  const auto prompt = some_tokens(90, 3);
  const std::vector<TokenId> before(prompt.begin(), prompt.end() - 1);
  const auto expected = logits_of(model, {StepKind::kExtend, {model.sequence(0, prompt, 0, true)}});
  model.run({StepKind::kExtend, {model.sequence(1, before, 0, false)}});
  EXPECT_TRUE(equal_bits(
      logits_of(model, {StepKind::kDecode, {model.sequence(1, {prompt.back()}, 89, true)}}), expected));
  Batch mixed{StepKind::kExtend, {model.sequence(2, some_tokens(70, 9), 0, true)}};
  mixed.sequences.push_back(model.sequence(1, {prompt.back()}, 89, true));
  const auto rows = logits_of(model, mixed);
  ASSERT_EQ(rows.size(), 2u * 512);
  EXPECT_TRUE(equal_bits({rows.begin() + 512, rows.end()}, expected)) << "beside a prompt";
}

TEST_P(Deepseek, DecodeLogitsDoNotDependOnTheBatchSize) {
  TinyModel model(GetParam(), {.max_sequences = 8});
  const auto step = [&](int s) { return model.sequence(s, {s + 3}, 9 + s * 5, true); };
  for (int s = 0; s < 7; ++s)
    model.run({StepKind::kExtend, {model.sequence(s, some_tokens(9 + s * 5, s), 0, false)}});
  std::vector<std::vector<float>> alone;
  for (int s = 0; s < 7; ++s) alone.push_back(logits_of(model, {StepKind::kDecode, {step(s)}}));
  Batch batch{StepKind::kDecode, {}};
  for (int s = 6; s >= 0; --s) batch.sequences.push_back(step(s));
  const auto together = logits_of(model, batch);
  for (int i = 0; i < 7; ++i) {
    const std::vector<float> row(together.begin() + i * 512, together.begin() + (i + 1) * 512);
    EXPECT_TRUE(equal_bits(row, alone[6 - i])) << i;
  }
}

TEST_P(Deepseek, ThePassesChangeNoBit) {
  TinyModel fused(GetParam());
  TinyModel plain(GetParam(), {.extend_mode = GraphMode::kBreakable, .decode_mode = GraphMode::kBreakable});
  for (TinyModel* model : {&fused, &plain})
    model->run({StepKind::kExtend, {model->sequence(1, some_tokens(20, 8), 0, false)}});
  const auto both = [&](StepKind kind, int slot, const std::vector<TokenId>& tokens, int start) {
    std::vector<std::vector<float>> logits;
    for (TinyModel* model : {&fused, &plain})
      logits.push_back(logits_of(*model, {kind, {model->sequence(slot, tokens, start, true)}}));
    EXPECT_TRUE(equal_bits(logits[0], logits[1]));
  };
  both(StepKind::kExtend, 0, some_tokens(50, 4), 0);
  both(StepKind::kDecode, 1, {9}, 20);
}

TEST_P(Deepseek, DeepgemmsLayoutsChangeNoBit) {
  TinyModel compact(GetParam());
  TestDevice device;
  device.deepgemm_layouts = true;
  TinyModel deepgemm(GetParam(), {}, std::move(device));
  std::vector<std::vector<float>> extended, decoded;
  for (TinyModel* model : {&compact, &deepgemm}) {
    extended.push_back(
        logits_of(*model, {StepKind::kExtend, {model->sequence(0, some_tokens(50, 4), 0, true)}}));
    decoded.push_back(logits_of(*model, {StepKind::kDecode, {model->sequence(0, {9}, 50, true)}}));
  }
  EXPECT_TRUE(equal_bits(extended[0], extended[1]));
  EXPECT_TRUE(equal_bits(decoded[0], decoded[1]));
}

// Tolerance: weights and activations are rounded to a sixteenth of themselves at worst, in every linear.
TEST(DeepseekQuantized, ABf16CheckpointInFp8StaysNearItsGoldensAndOneOnAnotherDeviceHasItsBits) {
  TestDevice own, remote;
  own.quantize_fp8 = remote.quantize_fp8 = true;
  own.backend = std::make_unique<CpuBackend>();
  remote.backend = std::make_unique<SimulatedBackend>();
  TinyModel model("deepseek_v2", {}, std::move(own));
  TinyModel elsewhere("deepseek_v2", {}, std::move(remote));
  for (const auto& golden : model.golden()) {
    const std::vector<TokenId> ids = golden["input_ids"];
    const auto logits = logits_of(model, {StepKind::kExtend, {model.sequence(0, ids, 0, true)}});
    EXPECT_LT(relative_distance(logits, golden["last_logits"]), 0.2);
    const auto same = logits_of(elsewhere, {StepKind::kExtend, {elsewhere.sequence(0, ids, 0, true)}});
    EXPECT_TRUE(equal_bits(same, logits));
  }
}

// Counts the experts with rows that every grouped linear meets.
class CountingKernels {
 public:
  CountingKernels() {
    define_ops(original_);
    add_cpu_kernels(original_);
  }
  void add(OpRegistry& registry) {
    const std::string op = "musaic::grouped_linear_fp8";
    const Kernel& kernel = original_.get(op).kernels.front();
    Kernel counting = kernel;
    counting.name = "counting";
    counting.run = [this, run = kernel.run](const KernelCall& call) {
      const Tensor& count = call.inputs[4];
      cpu_stream(call.stream).launch([this, count](const Worker& worker) {
        if (worker.next_chunk() != 0) return;
        for (int64_t e = 0; e < count.elements(); ++e) touched += count.as<const int32_t>()[e] > 0;
        ++calls;
      });
      run(call);
    };
    registry.add_kernel(op, std::move(counting));
  }

  std::atomic<int> touched{0}, calls{0};

 private:
  OpRegistry original_;
};

TEST(DeepseekExperts, PadRowsReadNone) {
  CountingKernels counting;
  TinyModel model(kFp8, {.max_sequences = 8},
                  {.kernels_first = [&](OpRegistry& registry) { counting.add(registry); },
                   .backend = std::make_unique<CpuBackend>()});
  counting.touched = counting.calls = 0;
  model.run({StepKind::kExtend, {model.sequence(0, {17}, 0, true)}});
  EXPECT_EQ(counting.calls, 2) << "one layer of experts, two linears; the bucket has 4 rows";
  EXPECT_EQ(counting.touched, 2 * 2) << "the 2 experts of the one live token";
}

}  // namespace
}  // namespace musaic
