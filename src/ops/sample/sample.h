#pragma once

#include "ir/builder.h"

namespace musaic {

class OpRegistry;

// musaic::sample: draws one token a row.
//
// 1. Penalties, for rows with a count slot, over the tokens whose count c is above 0: l is divided by the
//    repetition penalty if positive, multiplied by it if negative; then frequency · c + presence is taken
//    off.
// 2. Bias: bias_values[j] is added to token bias_ids[j], j < bias_count; -inf bans a token. Ids outside the
//    vocabulary are ignored.
// 3. temperature < 1e-6: the largest logit, the lowest id among equals. Otherwise p = softmax(l /
// temperature),
//    tokens in descending order of l (equal ones by id), of which a prefix is kept: the first top_k (<= 0:
//    all), of these the shortest prefix whose share of their mass reaches top_p (>= 1: all), of these the
//    ones with p >= min_p · max(p) (<= 0: all). At least one token is kept. u is uniform in [0, 1); the token
//    at which the running sum of the kept mass exceeds u · (kept mass) is drawn.
// 4. The count of the drawn token is incremented in the row's count slot.
//
// u = (first 53 bits of Philox4x32-10 with key = seed and counter = {draw, 0, 0, 0}) · 2^-53 (Salmon et al.
// 2011), so that a token depends on its row's logits and parameters only. Weights are whole multiples of
// 2^-34 of an exp made of the same float32 operations everywhere, so that sums are exact in any order: a CPU
// with fused multiply-add and a GPU draw the same token from the same bits. NaN counts as -inf, +inf as the
// largest float; a row without any finite logit gives token 0. Pad rows are neither read nor written.
struct SampleArguments {
  Value logits;              // [rows, vocab] f32, dense rows; unchanged
  Value temperature;         // [rows] f32
  Value top_k;               // [rows] i32
  Value top_p;               // [rows] f32
  Value min_p;               // [rows] f32
  Value seed;                // [rows] i64
  Value draw;                // [rows] i32, tokens generated before
  Value frequency_penalty;   // [rows] f32
  Value presence_penalty;    // [rows] f32
  Value repetition_penalty;  // [rows] f32
  Value count_slot;          // [rows] i32, row of token_counts; -1: neither penalties nor counting
  Value bias_count;          // [rows] i32
  Value bias_ids;            // [rows, max_bias] i32
  Value bias_values;         // [rows, max_bias] f32
  Value token_counts;        // [slots, vocab] i32 state, contiguous
};

struct SampleResult {
  Value token;         // [rows] i32
  Value token_counts;  // the state after the drawn tokens were counted
};

SampleResult sample(const SampleArguments& arguments);

void define_sample(OpRegistry& registry);
void add_sample_cpu(OpRegistry& registry);
void add_sample_gpu(OpRegistry& registry);

}  // namespace musaic
