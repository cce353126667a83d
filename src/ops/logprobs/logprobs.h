#pragma once

#include "ir/builder.h"

namespace musaic {

class OpRegistry;

// musaic::logprobs: log_softmax of each row at chosen tokens, with an absolute error below 1e-5. NaN counts
// as -inf, +inf as the largest float; every log-probability of a row without any finite logit is -inf. Pad
// rows, and entries beyond a row's counts, are neither read nor written.
struct LogprobArguments {
  Value logits;       // [rows, vocab] f32, dense rows
  Value target;       // [rows] i32, -1: not wanted
  Value top_n;        // [rows] i32, 0..max_top_n
  Value probe_count;  // [rows] i32, 0..max_probes
  Value probe_ids;    // [rows, max_probes] i32
  int max_top_n = 0;  // columns of the top outputs
};

struct LogprobResult {
  Value target;        // [rows] f32; 0 where the target is -1
  Value top_ids;       // [rows, max_top_n] i32, by descending probability, equal ones by id
  Value top_logprobs;  // [rows, max_top_n] f32
  Value probes;        // [rows, max_probes] f32; -inf for an id outside the vocabulary
};

LogprobResult logprobs(const LogprobArguments& arguments);

void define_logprobs(OpRegistry& registry);
void add_logprobs_cpu(OpRegistry& registry);
void add_logprobs_gpu(OpRegistry& registry);

}  // namespace musaic
