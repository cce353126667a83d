#include "weights/rope_frequencies.h"

#include <gtest/gtest.h>

#include <cmath>

#include "formats/json.h"

namespace musaic {
namespace {

ModelConfig config_of(const Json& rope) {
  ModelConfig config;
  config.head_dim = rope["dim"];
  config.rope_theta = rope["rope_theta"];
  const std::string type = rope["rope_type"];
  if (type == "default") return config;
  RopeScaling scaling;
  scaling.type = type;
  scaling.factor = rope["factor"];
  scaling.low_freq_factor = rope.value("low_freq_factor", scaling.low_freq_factor);
  scaling.high_freq_factor = rope.value("high_freq_factor", scaling.high_freq_factor);
  scaling.original_max_position_embeddings = rope.value("original_max_position_embeddings", 0);
  scaling.beta_fast = rope.value("beta_fast", scaling.beta_fast);
  scaling.beta_slow = rope.value("beta_slow", scaling.beta_slow);
  scaling.mscale = rope.value("mscale", scaling.mscale);
  scaling.mscale_all_dim = rope.value("mscale_all_dim", scaling.mscale_all_dim);
  if (rope.contains("attention_factor")) scaling.attention_factor = rope["attention_factor"].get<double>();
  scaling.truncate = rope.value("truncate", true);
  config.rope_scaling = scaling;
  return config;
}

TEST(RopeFrequencies, EqualTheOraclesOfEveryScaling) {
  const Json cases = read_json_file(MUSAIC_TEST_DATA "/weights/rope.json");
  ASSERT_EQ(cases.size(), 7u);
  for (const Json& rope : cases) {
    SCOPED_TRACE(rope["rope_type"].get<std::string>());
    const ModelConfig config = config_of(rope);
    const auto expected = rope["inverse_frequencies"].get<std::vector<double>>();
    const std::vector<float> frequencies = rope_inverse_frequencies(config);
    ASSERT_EQ(frequencies.size(), expected.size());
    constexpr double kTolerance = 1.2e-7;  // relative: one rounding to float32
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(frequencies[i], expected[i], kTolerance * expected[i]) << "pair " << i;
    }
    EXPECT_FLOAT_EQ(rope_attention_factor(config), rope["expected_attention_factor"].get<float>());
  }
}

TEST(RopeFrequencies, FactorsOfTheFileDivide) {
  ModelConfig config;
  config.head_dim = 4;
  config.rope_theta = 100.0;
  config.rope_frequency_factors = {1.0f, 8.0f};
  const std::vector<float> frequencies = rope_inverse_frequencies(config);
  EXPECT_FLOAT_EQ(frequencies[0], 1.0f);
  EXPECT_FLOAT_EQ(frequencies[1], 0.1f / 8);
}

TEST(RopeFrequencies, TheScoresTakeYarnsMagnitudeTwice) {
  ModelConfig config;
  EXPECT_EQ(rope_score_factor(config), 1.0);
  config.rope_scaling = RopeScaling{.type = "yarn", .factor = 40, .mscale = 0.707, .mscale_all_dim = 0.707};
  EXPECT_NEAR(rope_score_factor(config), 1.5896, 1e-4);  // (0.0707 ln 40 + 1)²
  EXPECT_EQ(rope_attention_factor(config), 1.0f);
  config.rope_scaling->mscale_all_dim = 0;
  EXPECT_EQ(rope_score_factor(config), 1.0);
}

TEST(RopeFrequencies, ARotaryPartHasItsOwnWidth) {
  ModelConfig config;
  config.head_dim = 128;
  config.rope_theta = 10000.0;
  const std::vector<float> frequencies = rope_inverse_frequencies(config, 4);
  ASSERT_EQ(frequencies.size(), 2u);
  EXPECT_FLOAT_EQ(frequencies[1], 0.01f);
}

}  // namespace
}  // namespace musaic
