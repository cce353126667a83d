// Modes, the captures' memory, and what a replay may read.
#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "runner/model_for_test.h"

namespace musaic {
namespace {

using ::testing::HasSubstr;

constexpr int kTokens = 5;

std::vector<TokenId> prompt_of(int count, int seed) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((i * 37 + seed * 101 + i * i * 7) % 512);
  return tokens;
}

// Tokens of prompts on both sides of a bucket, one after the other.
std::vector<std::vector<TokenId>> answers(TinyModel& model) {
  std::vector<std::vector<TokenId>> tokens;
  for (int length : {1, 33, 70}) tokens.push_back(model.generate(0, prompt_of(length, length), kTokens, 64));
  return tokens;
}

void capture_all(GraphRunner& runner) {
  while (runner.capture_next()) {
  }
}

class Modes : public testing::TestWithParam<const char*> {};

TEST_P(Modes, AllGiveTheSameTokens) {
  TinyModel reference(GetParam(), {.max_sequences = 4});
  const auto expected = answers(reference);
  for (GraphMode mode : {GraphMode::kFull, GraphMode::kBreakable, GraphMode::kDisabled}) {
    TinyModel extend(GetParam(), {.extend_mode = mode, .max_sequences = 4});
    EXPECT_EQ(answers(extend), expected) << "extend " << name(mode);
  }
  for (GraphMode mode : {GraphMode::kPiecewise, GraphMode::kBreakable, GraphMode::kDisabled}) {
    TinyModel decode(GetParam(), {.decode_mode = mode, .max_sequences = 4});
    EXPECT_EQ(answers(decode), expected) << "decode " << name(mode);
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, Modes, testing::Values("llama", "qwen2", "qwen3"),
                         [](const auto& param) { return std::string(param.param); });

TEST(Modes, DecideOnPassesAndPieces) {
  TinyModel piecewise("llama");
  EXPECT_FALSE(piecewise.runner().graphs().extend.passes.empty());
  EXPECT_EQ(piecewise.runner().extend().num_pieces(), 3);  // around the attention of two layers
  EXPECT_EQ(piecewise.runner().decode().num_pieces(), 1);

  TinyModel breakable("llama", {.extend_mode = GraphMode::kBreakable});
  EXPECT_TRUE(breakable.runner().graphs().extend.passes.empty());
  EXPECT_FALSE(breakable.runner().graphs().decode.passes.empty());
  EXPECT_EQ(breakable.runner().extend().num_pieces(), 3);

  TinyModel full("llama", {.extend_mode = GraphMode::kFull, .decode_mode = GraphMode::kPiecewise});
  EXPECT_EQ(full.runner().extend().num_pieces(), 1);
  EXPECT_EQ(full.runner().decode().num_pieces(), 3);

  TinyModel disabled("llama", {.extend_mode = GraphMode::kDisabled});
  EXPECT_EQ(disabled.runner().choose(StepKind::kExtend, 9).reason, "graphs_disabled");
  EXPECT_EQ(disabled.runner().choose(StepKind::kDecode, 1).reason, "bucket");
  EXPECT_THAT(names_in_state(disabled.runner().captures().list(), BucketState::kWaiting),
              testing::Not(HasSubstr("extend")));
}

TEST(Modes, RecordedBreaksAreLaunchedWithThePieceBehindThem) {
  TinyModel apart("llama", {.max_sequences = 4}, {.lacks = {"recorded_breaks"}});
  EXPECT_EQ(apart.runner().extend().launch_units().size(), 5u);
  const auto expected = answers(apart);

  TinyModel model("llama", {.max_sequences = 4, .verify_share = 0.5}, {.has = {"recorded_breaks"}});
  const Program& extend = model.runner().extend();
  EXPECT_EQ(extend.num_pieces(), 3);
  EXPECT_EQ(extend.segments().size(), 5u);
  EXPECT_EQ(extend.launch_units().size(), 3u);
  EXPECT_EQ(answers(model), expected);
  EXPECT_GT(model.runner().verifier().num_verified_steps(), 0u);
  EXPECT_TRUE(model.runner().verifier().findings().empty());

  model.runner().time_segments(true);  // which shows them apart
  const StepOutput timed = model.run({StepKind::kExtend, {model.sequence(0, {5, 6, 7}, 0, true)}});
  EXPECT_TRUE(timed.record.replayed);
  ASSERT_EQ(timed.segments.size(), 6u) << "with the head";
  EXPECT_TRUE(timed.segments[1].is_break && timed.segments[3].is_break);
  model.runner().time_segments(false);
  EXPECT_EQ(answers(model), expected);
}

TEST(Modes, PiecesAreLaunchedTogetherWhereBreaksAreRecordedAndNothingIsToBeShownApart) {
  TinyModel apart("llama", {.max_sequences = 4}, {.lacks = {"recorded_breaks"}});
  const auto expected = answers(apart);

  TinyModel model("llama", {.max_sequences = 4}, {.has = {"recorded_breaks"}});
  const Program& extend = model.runner().extend();
  EXPECT_EQ(extend.num_pieces(), 3);
  EXPECT_EQ(extend.launch_units().size(), 1u);
  EXPECT_TRUE(extend.launches_pieces_together());
  EXPECT_EQ(answers(model), expected);

  model.runner().time_segments(true);
  const StepOutput timed = model.run({StepKind::kExtend, {model.sequence(0, {5, 6, 7}, 0, true)}});
  EXPECT_TRUE(timed.record.replayed);
  EXPECT_EQ(timed.segments.size(), 6u) << "with the head";
  model.runner().time_segments(false);
  EXPECT_EQ(answers(model), expected);
}

TEST(Modes, FullIsPiecewiseOnADeviceThatCannotRecordAttention) {
  TestDevice device{.lacks = {"whole_extend", "whole_decode"}};
  TinyModel model("llama", {.extend_mode = GraphMode::kFull, .decode_mode = GraphMode::kFull},
                  std::move(device));
  EXPECT_EQ(model.runner().options().extend_mode, GraphMode::kPiecewise);
  EXPECT_EQ(model.runner().options().decode_mode, GraphMode::kPiecewise);
  EXPECT_EQ(model.runner().extend().num_pieces(), 3);
  EXPECT_EQ(model.runner().decode().num_pieces(), 3);
}

TEST(Modes, AStepAboveTheAskedSizesRunsEagerly) {
  TinyModel model("llama", {.max_tokens_per_step = 128,
                            .max_graph_tokens = 128,
                            .extend_sizes = {16, 64, 900},
                            .decode_sizes = {2},
                            .max_sequences = 8});
  GraphRunner& runner = model.runner();
  EXPECT_EQ(runner.choose(StepKind::kExtend, 20).bucket, 64);
  EXPECT_EQ(runner.choose(StepKind::kExtend, 65).reason, "above_max_graph_tokens");
  EXPECT_EQ(runner.choose(StepKind::kDecode, 3).reason, "above_max_graph_batch");
  capture_all(runner);
  EXPECT_THAT(names_in_state(runner.captures().list(), BucketState::kCaptured),
              testing::AllOf(HasSubstr("decode 2,"), HasSubstr("extend 16 64,")));
}

// Bytes of all captures without a limit.
size_t all_bytes(const GraphRunnerOptions& options) {
  TinyModel model("llama", options);
  capture_all(model.runner());
  return model.runner().captures().totals().bytes;
}

TEST(GraphMemoryBudget, IsKeptAndWhatItDropsIsNamed) {
  GraphRunnerOptions options{.max_sequences = 8};
  const size_t everything = all_bytes(options);
  for (const double share : {0.9, 0.5, 0.2}) {
    options.graph_memory_budget = static_cast<size_t>(static_cast<double>(everything) * share);
    TinyModel model("llama", options);
    capture_all(model.runner());
    const auto totals = model.runner().captures().totals();
    EXPECT_LE(totals.bytes, options.graph_memory_budget);
    EXPECT_EQ(totals.waiting, 0);
    EXPECT_GT(totals.captured, 0);
    EXPECT_LT(totals.captured, totals.buckets);
    EXPECT_FALSE(names_in_state(model.runner().captures().list(), BucketState::kOverBudget).empty());
  }
}

TEST(GraphMemoryBudget, ADroppedBucketRunsInALargerOneOrEagerlyWithTheSameTokens) {
  GraphRunnerOptions options{.max_sequences = 4};
  TinyModel unlimited("llama", options);
  const auto expected = answers(unlimited);
  options.graph_memory_budget = all_bytes(options) / 2;
  TinyModel model("llama", options);
  EXPECT_EQ(answers(model), expected) << "while captured at first use";
  capture_all(model.runner());
  EXPECT_EQ(answers(model), expected);
  std::set<std::string> reasons;
  for (const BucketStatus& bucket : model.runner().captures().list()) {
    if (bucket.graph != "extend" || bucket.state != BucketState::kOverBudget) continue;
    const StepChoice choice = model.runner().choose(StepKind::kExtend, bucket.size);
    reasons.emplace(choice.reason);
    if (choice.reason == "larger_bucket") {
      EXPECT_TRUE(choice.replay);
      EXPECT_GT(choice.bucket, bucket.size);
      EXPECT_LE(choice.bucket, 2 * bucket.size);
    } else {
      EXPECT_EQ(choice.reason, "over_memory_budget");
      EXPECT_FALSE(choice.replay);
      EXPECT_EQ(choice.bucket, bucket.size);
    }
  }
  EXPECT_THAT(reasons, testing::Contains("larger_bucket"));
}

TEST(GraphMemoryBudget, OfNothingCapturesNothing) {
  TinyModel model("llama", {.max_sequences = 4, .graph_memory_budget = 0});
  const auto record = model.run({StepKind::kExtend, {model.sequence(0, prompt_of(9, 1), 0, true)}}).record;
  EXPECT_FALSE(record.replayed);
  EXPECT_EQ(record.reason, "over_memory_budget");
  capture_all(model.runner());
  EXPECT_EQ(model.runner().captures().totals().captured, 0);
  EXPECT_EQ(model.runner().captures().totals().bytes, 0u);
}

TEST(GraphMemoryBudget, UsesNoLargerBatchWherePaddingIsOff) {
  GraphRunnerOptions options{.decode_sizes = {3, 4}, .max_sequences = 4, .pad_decode = false};
  TinyModel all("llama", options);
  capture_all(all.runner());
  size_t head_and_largest = 0;  // the budget ends after the first decode bucket
  for (const BucketStatus& bucket : all.runner().captures().list()) {
    if (bucket.graph == "head" || (bucket.graph == "decode" && bucket.size == 4))
      head_and_largest += bucket.bytes;
  }
  options.graph_memory_budget = head_and_largest;
  TinyModel model("llama", options);
  capture_all(model.runner());
  EXPECT_EQ(model.runner().choose(StepKind::kDecode, 4).reason, "bucket");
  EXPECT_EQ(model.runner().choose(StepKind::kDecode, 3).reason, "over_memory_budget");
}

// A break's input lies in the arena. What later captures and steps leave there must not matter to an older
// one.
TEST(Reuse, AnOlderCaptureReadsNothingThatALaterOneLeftInTheArena) {
  TinyModel model("llama", {.max_tokens_per_step = 96, .max_graph_tokens = 96, .max_sequences = 8});
  GraphRunner& runner = model.runner();
  capture_all(runner);
  std::vector<int> sizes = runner.extend().bucket_sizes();
  std::reverse(sizes.begin(), sizes.end());  // the largest was captured first
  for (int bucket : sizes) {
    const auto prompt = prompt_of(bucket, bucket);
    runner.force_eager(true);
    const auto eager = model.generate(0, prompt, kTokens, 96);
    runner.force_eager(false);
    for (int other : {4, 96}) {  // leaves its own values where the older capture's lay
      model.run({StepKind::kExtend, {model.sequence(1, prompt_of(other, 7), 0, true)}});
    }
    runner.poison_arena();
    EXPECT_EQ(model.generate(0, prompt, kTokens, 96), eager) << "bucket " << bucket;
  }
}

TEST(Reuse, EveryGapBetweenThePiecesMayBePoisoned) {
  // A verified step fills what no later node may read with NaN before each piece and each break.
  TinyModel model("llama", {.max_tokens_per_step = 96, .max_graph_tokens = 96, .verify_share = 1.0});
  TinyModel plain("llama", {.max_tokens_per_step = 96, .max_graph_tokens = 96});
  capture_all(model.runner());
  for (int bucket : model.runner().extend().bucket_sizes()) {
    const auto prompt = prompt_of(bucket, bucket);
    EXPECT_EQ(model.generate(0, prompt, 3, 96), plain.generate(0, prompt, 3, 96)) << bucket;
  }
  EXPECT_TRUE(model.runner().verifier().findings().empty());
  // One extend step and two of decode a bucket.
  EXPECT_EQ(model.runner().verifier().num_verified_steps(),
            3 * model.runner().extend().bucket_sizes().size());
}

}  // namespace
}  // namespace musaic
