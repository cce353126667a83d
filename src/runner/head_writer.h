#pragma once

#include <span>
#include <string>
#include <vector>

#include "request/batch.h"
#include "runner/io_buffers.h"

namespace musaic {

// One row whose logits are wanted.
struct HeadRow {
  int hidden_row = 0;   // row of the step
  int sequence = 0;     // index in the batch
  bool draw = false;    // sample a token from it
  TokenId target = -1;  // prompt token whose log-probability is wanted; -1: none
};

// Writes a chunk of rows into the buffers of the head and of the log-probabilities.
class HeadWriter {
 public:
  HeadWriter(IoBuffers& buffers, int max_rows);

  // The parameters of the draws, for a graph whose inputs have this prefix. REQUIRES: rows.size() <=
  // max_rows.
  void write_sampling(const Batch& batch, std::span<const HeadRow> rows, const std::string& prefix = "");
  // Which rows of the step the head takes.
  void write_rows(std::span<const HeadRow> rows);
  // After sampling: `tokens` are the drawn ones; a row's target is its prompt token or what was drawn.
  void write_logprobs(const Batch& batch, std::span<const HeadRow> rows, std::span<const TokenId> tokens);

 private:
  void write_row(const BatchSequence& sequence, const HeadRow& row, int index, const std::string& prefix);
  void write_count(size_t count);
  void write_bias(const BatchSequence& sequence, int index, const std::string& prefix);
  template <class T>
  void copy(const std::string& name, const std::vector<T>& values, size_t count);

  IoBuffers& buffers_;
  std::vector<int32_t> row_index_, top_k_, draw_, count_slot_, bias_count_, target_, top_n_, probe_count_;
  std::vector<float> temperature_, top_p_, min_p_, frequency_penalty_, presence_penalty_, repetition_penalty_;
  std::vector<int64_t> seed_;
};

// Whether a sequence's draws depend on the tokens it has drawn before.
bool has_penalties(const SamplingParams& sampling);

}  // namespace musaic
