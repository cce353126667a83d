#pragma once

// Positions of musaic::sample's tensor arguments in its schema.
namespace musaic::sample_inputs {

enum SampleInput {
  kLogits,
  kTemperature,
  kTopK,
  kTopP,
  kMinP,
  kSeed,
  kDraw,
  kFrequencyPenalty,
  kPresencePenalty,
  kRepetitionPenalty,
  kCountSlot,
  kBiasCount,
  kBiasIds,
  kBiasValues,
  kTokenCounts,
};

}  // namespace musaic::sample_inputs
