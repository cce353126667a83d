#include "weights/rope_frequencies.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace musaic {
namespace {

constexpr double kTwoPi = 2 * std::numbers::pi;

// Long waves are slowed by the factor, short ones stay, those between are blended by their wavelength.
double scale_llama3(double frequency, const RopeScaling& scaling) {
  const double turns = scaling.original_max_position_embeddings * frequency / kTwoPi;
  if (turns < scaling.low_freq_factor) return frequency / scaling.factor;
  if (turns > scaling.high_freq_factor) return frequency;
  const double kept =
      (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1 - kept) * frequency / scaling.factor + kept * frequency;
}

// The pairs between which yarn goes over from keeping a frequency to dividing it.
struct YarnRamp {
  double begin, end;

  double divided_part(int pair) const { return std::clamp((pair - begin) / (end - begin), 0.0, 1.0); }
};

YarnRamp yarn_ramp(const ModelConfig& config, int rotary_dim) {
  const RopeScaling& scaling = *config.rope_scaling;
  // The pair that turns so many times over the original context.
  const auto pair_with_turns = [&](double turns) {
    const double wavelength = scaling.original_max_position_embeddings / (turns * kTwoPi);
    return rotary_dim * std::log(wavelength) / (2 * std::log(config.rope_theta));
  };
  YarnRamp ramp{pair_with_turns(scaling.beta_fast), pair_with_turns(scaling.beta_slow)};
  if (scaling.truncate) ramp = {std::floor(ramp.begin), std::ceil(ramp.end)};
  ramp = {std::max(ramp.begin, 0.0), std::min(ramp.end, rotary_dim - 1.0)};
  if (ramp.begin == ramp.end) ramp.end += 0.001;  // as published: no division by zero
  return ramp;
}

double yarn_magnitude(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

std::vector<double> plain_frequencies(double theta, int rotary_dim) {
  std::vector<double> result(static_cast<size_t>(rotary_dim / 2));
  for (size_t i = 0; i < result.size(); ++i)
    result[i] = std::pow(theta, -2.0 * static_cast<double>(i) / rotary_dim);
  return result;
}

void scale(std::vector<double>& frequencies, const ModelConfig& config, int rotary_dim) {
  const RopeScaling& scaling = *config.rope_scaling;
  if (scaling.type == "linear") {
    for (double& frequency : frequencies) frequency /= scaling.factor;
  } else if (scaling.type == "llama3") {
    for (double& frequency : frequencies) frequency = scale_llama3(frequency, scaling);
  } else {
    CHECK(scaling.type == "yarn", "rope scaling type {}", scaling.type);
    const YarnRamp ramp = yarn_ramp(config, rotary_dim);
    for (size_t i = 0; i < frequencies.size(); ++i) {
      const double divided = ramp.divided_part(static_cast<int>(i));
      frequencies[i] *= divided / scaling.factor + (1 - divided);
    }
  }
}

}  // namespace

std::vector<float> rope_inverse_frequencies(const ModelConfig& config, int rotary_dim) {
  CHECK(rotary_dim % 2 == 0, "rotary_dim is {}", rotary_dim);
  std::vector<double> frequencies = plain_frequencies(config.rope_theta, rotary_dim);
  if (config.rope_scaling) scale(frequencies, config, rotary_dim);
  const auto& factors = config.rope_frequency_factors;
  CHECK(factors.empty() || factors.size() == frequencies.size(), "{} factors of {} frequencies",
        factors.size(), frequencies.size());
  for (size_t i = 0; i < factors.size(); ++i) frequencies[i] /= factors[i];
  return {frequencies.begin(), frequencies.end()};
}

std::vector<float> rope_inverse_frequencies(const ModelConfig& config) {
  return rope_inverse_frequencies(config, config.head_dim);
}

float rope_attention_factor(const ModelConfig& config) {
  if (!config.rope_scaling || config.rope_scaling->type != "yarn") return 1.0f;
  const RopeScaling& scaling = *config.rope_scaling;
  if (scaling.attention_factor) return static_cast<float>(*scaling.attention_factor);
  const bool has_both = scaling.mscale != 0 && scaling.mscale_all_dim != 0;
  if (!has_both) return static_cast<float>(yarn_magnitude(scaling.factor, 1.0));
  return static_cast<float>(yarn_magnitude(scaling.factor, scaling.mscale) /
                            yarn_magnitude(scaling.factor, scaling.mscale_all_dim));
}

double rope_score_factor(const ModelConfig& config) {
  if (!config.rope_scaling || config.rope_scaling->type != "yarn") return 1.0;
  const double magnitude = yarn_magnitude(config.rope_scaling->factor, config.rope_scaling->mscale_all_dim);
  return magnitude * magnitude;
}

}  // namespace musaic
