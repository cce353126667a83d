#include "runner/logprob_reader.h"

#include "ops/logprobs/logprobs.h"
#include "request/request.h"
#include "sampling/sampling_params.h"

namespace musaic {

void read_logprobs(Backend& backend, const IoBuffers& buffers, const Batch& batch,
                   std::span<const HeadRow> rows, std::span<const TokenId> tokens, StepOutput& output) {
  const auto fetch = [&](const char* name, auto& values) {
    backend.copy_to_host(values.data(), buffers.get<void>(name), values.size() * sizeof(values[0]),
                         backend.stream());
  };
  std::vector<float> targets(rows.size());
  std::vector<float> top_logprobs(rows.size() * kMaxTopLogprobs);
  std::vector<int32_t> top_ids(rows.size() * kMaxTopLogprobs);
  std::vector<float> probes(rows.size() * kMaxProbeTokens);
  fetch("target_logprob", targets);
  fetch("top_logprobs", top_logprobs);
  fetch("top_ids", top_ids);
  fetch("probe_logprobs", probes);
  for (size_t i = 0; i < rows.size(); ++i) {
    const BatchSequence& sequence = batch.sequences[rows[i].sequence];
    const bool of_prompt = rows[i].target >= 0;
    if (!of_prompt && !sequence.output_logprobs) continue;
    PositionLogprobs position{.token = of_prompt ? rows[i].target : tokens[i], .logprob = targets[i]};
    for (int k = 0; k < sequence.top_n; ++k) {
      position.top.emplace_back(top_ids[i * kMaxTopLogprobs + k], top_logprobs[i * kMaxTopLogprobs + k]);
    }
    for (size_t k = 0; k < sequence.probes.size(); ++k) {
      position.probes.emplace_back(sequence.probes[k], probes[i * kMaxProbeTokens + k]);
    }
    SequenceOutput& result = output.sequences[rows[i].sequence];
    (of_prompt ? result.input_logprobs : result.output_logprobs).push_back(std::move(position));
  }
}

}  // namespace musaic
