#include "sampling/sampling_params.h"

#include <gmock/gmock.h>

#include <limits>

namespace musaic {
namespace {

using ::testing::HasSubstr;

constexpr int kVocab = 100;

struct BadCase {
  const char* says;
  SamplingParams params;
};

TEST(SamplingParams, AcceptsItsDefaultsAndTheEndsOfItsRanges) {
  EXPECT_TRUE(validate(SamplingParams{}, kVocab).ok());
  EXPECT_TRUE(validate(SamplingParams{.max_new_tokens = 0, .temperature = 0.0f, .top_k = 1}, kVocab).ok());
  EXPECT_TRUE(validate(SamplingParams{.min_p = 1.0f,
                                      .frequency_penalty = -2.0f,
                                      .repetition_penalty = 2.0f,
                                      .stop_token_ids = {0, 99}},
                       kVocab)
                  .ok());
}

TEST(SamplingParams, NamesTheParameterThatIsOutOfRange) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const BadCase cases[] = {
      {"max_new_tokens must be 0 or more, got -1", {.max_new_tokens = -1}},
      {"min_new_tokens must be in [0, max_new_tokens = 4], got 5",
       {.max_new_tokens = 4, .min_new_tokens = 5}},
      {"temperature", {.temperature = -0.5f}},
      {"temperature", {.temperature = nan}},
      {"top_p must be in (0, 1], got 0", {.top_p = 0.0f}},
      {"top_p", {.top_p = nan}},
      {"top_k must be -1 (off) or at least 1, got 0", {.top_k = 0}},
      {"min_p must be in [0, 1], got 1.5", {.min_p = 1.5f}},
      {"frequency_penalty", {.frequency_penalty = 2.5f}},
      {"presence_penalty", {.presence_penalty = -2.5f}},
      {"repetition_penalty must be in (0, 2], got 0", {.repetition_penalty = 0.0f}},
      {"stop_token_ids: token ids must be in [0, 100), got 100", {.stop_token_ids = {100}}},
      {"stop_token_ids may have 256 entries, got 257", {.stop_token_ids = std::vector<TokenId>(257, 1)}},
      {"logit_bias: token ids must be in [0, 100), got -1", {.logit_bias = {{-1, 1.0f}}}},
      {"logit_bias of token 3 must be finite", {.logit_bias = {{3, nan}}}},
      {"logit_bias may have 1024 entries, got 1025",
       {.logit_bias = std::vector<std::pair<TokenId, float>>(1025, {1, 1.0f})}},
  };
  for (const BadCase& bad : cases) {
    const Status status = validate(bad.params, kVocab);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << bad.says;
    EXPECT_THAT(status.message(), HasSubstr(bad.says));
  }
}

TEST(LogprobParams, AreCheckedAgainstThePromptAndTheVocabulary) {
  EXPECT_TRUE(validate(LogprobParams{.enabled = true, .start = 10}, 10, kVocab).ok());
  EXPECT_FALSE(validate(LogprobParams{.enabled = true, .start = 11}, 10, kVocab).ok());
  EXPECT_TRUE(validate(LogprobParams{.enabled = false, .start = 11}, 10, kVocab).ok());
  EXPECT_FALSE(validate(LogprobParams{.enabled = true, .top_n = 129}, 10, kVocab).ok());
  EXPECT_FALSE(validate(LogprobParams{.enabled = true, .probes = {100}}, 10, kVocab).ok());
}

}  // namespace
}  // namespace musaic
