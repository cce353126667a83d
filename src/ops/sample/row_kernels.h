#pragma once

#include <bit>
#include <cstdint>
#include <limits>

namespace musaic {

// Vector loops over one row of logits, shared by sampling and log-probabilities. Every result is the same
// whatever the instruction set: elementwise work is, and sums are exact. Logits are read through
// `clean_logit`.

// NaN as -inf, +inf as the largest float, -0 as 0.
inline float clean_logit(float logit) {
  if (!(logit == logit)) return -std::numeric_limits<float>::infinity();
  return (logit < std::numeric_limits<float>::max() ? logit : std::numeric_limits<float>::max()) + 0.0f;
}

// Ascending where the logit descends.
inline uint32_t descending_key(float logit) {
  const uint32_t bits = std::bit_cast<uint32_t>(clean_logit(logit));
  return bits & 0x80000000u ? bits : 0x7fffffffu - bits;
}

struct BestLogit {
  float value = -std::numeric_limits<float>::infinity();
  int32_t index = 0;  // the lowest among equals; 0 when all are -inf
};

// keys[i] = descending_key(logits[i]).
void descending_keys(const float* logits, int64_t size, uint32_t* keys);

BestLogit best_logit(const float* logits, int64_t size);

// A weight as a double that is a multiple of 2^-34, so that sums of up to 2^19 weights of at most 1 are exact
// in any order.
inline double exact_weight(float weight) {
  constexpr double kRounder = 1.5 * (1 << 18);  // its last bit is worth 2^-34
  return (static_cast<double>(weight) + kRounder) - kRounder;
}
inline constexpr double kWeightQuantum = 1.0 / (int64_t{1} << 34);
inline constexpr int64_t kMaxExactWeights = int64_t{1} << 19;

// weights[i] = exp((logits[i] - max) · scale), in [0, 1]; returns the sum of their exact_weight.
// REQUIRES: max is finite and no logit is above it, scale > 0.
double exp_weights(const float* logits, int64_t size, float max, float scale, float* weights);

// Indices i with logits[i] >= threshold, ascending, each plus `first`; returns how many. `indices` has room
// for `size`.
int64_t indices_at_least(const float* logits, int64_t size, float threshold, int32_t first, int32_t* indices);

}  // namespace musaic
