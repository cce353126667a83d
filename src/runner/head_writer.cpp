#include "runner/head_writer.h"

#include <limits>

#include "base/check.h"
#include "sampling/sampling_params.h"

namespace musaic {

bool has_penalties(const SamplingParams& sampling) {
  return sampling.frequency_penalty != 0.0f || sampling.presence_penalty != 0.0f ||
         sampling.repetition_penalty != 1.0f;
}

HeadWriter::HeadWriter(IoBuffers& buffers, int max_rows) : buffers_(buffers) {
  for (auto* ints :
       {&row_index_, &top_k_, &draw_, &count_slot_, &bias_count_, &target_, &top_n_, &probe_count_}) {
    ints->resize(max_rows);
  }
  for (auto* floats :
       {&temperature_, &top_p_, &min_p_, &frequency_penalty_, &presence_penalty_, &repetition_penalty_}) {
    floats->resize(max_rows);
  }
  seed_.resize(max_rows);
}

template <class T>
void HeadWriter::copy(const std::string& name, const std::vector<T>& values, size_t count) {
  buffers_.write(name, std::span<const T>(values.data(), count));
}

void HeadWriter::write_bias(const BatchSequence& sequence, int index, const std::string& prefix) {
  std::vector<int32_t> ids;
  std::vector<float> values;
  for (const auto& [token, bias] : sequence.sampling.logit_bias) {
    ids.push_back(token);
    values.push_back(bias);
  }
  for (TokenId token : sequence.banned) {
    ids.push_back(token);
    values.push_back(-std::numeric_limits<float>::infinity());
  }
  CHECK(ids.size() <= kBiasColumns, "request {}: {} biased tokens", sequence.request, ids.size());
  bias_count_[index] = static_cast<int32_t>(ids.size());
  if (ids.empty()) return;
  const size_t first = static_cast<size_t>(index) * kBiasColumns;
  buffers_.write(prefix + "bias_ids", std::span<const int32_t>(ids), first);
  buffers_.write(prefix + "bias_values", std::span<const float>(values), first);
}

void HeadWriter::write_row(const BatchSequence& sequence, const HeadRow& row, int index,
                           const std::string& prefix) {
  const SamplingParams& sampling = sequence.sampling;
  temperature_[index] = row.draw ? sampling.temperature : 0.0f;
  top_k_[index] = sampling.top_k;
  top_p_[index] = sampling.top_p;
  min_p_[index] = sampling.min_p;
  seed_[index] = sampling.seed.value_or(0);
  draw_[index] = sequence.num_generated;
  frequency_penalty_[index] = sampling.frequency_penalty;
  presence_penalty_[index] = sampling.presence_penalty;
  repetition_penalty_[index] = sampling.repetition_penalty;
  count_slot_[index] = row.draw && has_penalties(sampling) ? sequence.slot : -1;
  bias_count_[index] = 0;
  if (row.draw) write_bias(sequence, index, prefix);
}

void HeadWriter::write_sampling(const Batch& batch, std::span<const HeadRow> rows,
                                const std::string& prefix) {
  const size_t count = rows.size();
  for (size_t i = 0; i < count; ++i)
    write_row(batch.sequences[rows[i].sequence], rows[i], static_cast<int>(i), prefix);
  copy(prefix + "temperature", temperature_, count);
  copy(prefix + "top_k", top_k_, count);
  copy(prefix + "top_p", top_p_, count);
  copy(prefix + "min_p", min_p_, count);
  copy(prefix + "seed", seed_, count);
  copy(prefix + "draw", draw_, count);
  copy(prefix + "frequency_penalty", frequency_penalty_, count);
  copy(prefix + "presence_penalty", presence_penalty_, count);
  copy(prefix + "repetition_penalty", repetition_penalty_, count);
  copy(prefix + "count_slot", count_slot_, count);
  copy(prefix + "bias_count", bias_count_, count);
}

void HeadWriter::write_count(size_t count) {
  const auto num_rows = static_cast<int32_t>(count);
  buffers_.write("num_rows", std::span<const int32_t>(&num_rows, 1));
}

void HeadWriter::write_rows(std::span<const HeadRow> rows) {
  for (size_t i = 0; i < rows.size(); ++i) row_index_[i] = rows[i].hidden_row;
  write_count(rows.size());
  copy("row_index", row_index_, rows.size());
}

void HeadWriter::write_logprobs(const Batch& batch, std::span<const HeadRow> rows,
                                std::span<const TokenId> tokens) {
  for (size_t i = 0; i < rows.size(); ++i) {
    const BatchSequence& sequence = batch.sequences[rows[i].sequence];
    const bool wanted = rows[i].target >= 0 || sequence.output_logprobs;
    target_[i] = rows[i].target >= 0 ? rows[i].target : wanted ? tokens[i] : -1;
    top_n_[i] = wanted ? sequence.top_n : 0;
    probe_count_[i] = wanted ? static_cast<int32_t>(sequence.probes.size()) : 0;
    if (probe_count_[i] > 0)
      buffers_.write("probe_ids", std::span<const int32_t>(sequence.probes), i * kMaxProbeTokens);
  }
  write_count(rows.size());
  copy("target", target_, rows.size());
  copy("top_n", top_n_, rows.size());
  copy("probe_count", probe_count_, rows.size());
}

}  // namespace musaic
