#include "scheduler/sequence.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace musaic {
namespace {

std::vector<TokenId> find_end_tokens(const SamplingParams& sampling,
                                     const std::vector<TokenId>& model_end_tokens) {
  std::vector<TokenId> end_tokens = sampling.stop_token_ids;
  if (!sampling.ignore_eos)
    end_tokens.insert(end_tokens.end(), model_end_tokens.begin(), model_end_tokens.end());
  std::sort(end_tokens.begin(), end_tokens.end());
  end_tokens.erase(std::unique(end_tokens.begin(), end_tokens.end()), end_tokens.end());
  return end_tokens;
}

}  // namespace

Sequence::Sequence(Request request, const std::vector<TokenId>& model_end_tokens, Clock::time_point submitted)
    : id(request.id),
      prompt_length(static_cast<int>(request.input_ids.size())),
      sampling(std::move(request.sampling)),
      logprobs(std::move(request.logprobs)),
      end_tokens(find_end_tokens(sampling, model_end_tokens)),
      submitted(submitted),
      tokens(std::move(request.input_ids)) {
  tokens.reserve(tokens.size() + static_cast<size_t>(sampling.max_new_tokens));
}

int Sequence::cacheable_tokens() const {
  const int limit = static_cast<int>(tokens.size()) - 1;
  return wants_input_logprobs() ? std::min(limit, logprobs.start) : limit;
}

void Sequence::take_row(int num_tokens, BatchSequence& row) {
  CHECK(num_tokens > 0 && num_tokens <= remaining(), "request {}: {} of {} tokens scheduled", id, num_tokens,
        remaining());
  const int end = scheduled + num_tokens;
  const auto known_end = tokens.begin() + std::min(end, static_cast<int>(tokens.size()));
  row.request = id;
  row.slot = slot;
  row.tokens.assign(tokens.begin() + std::min(scheduled, static_cast<int>(tokens.size())), known_end);
  row.tokens.resize(static_cast<size_t>(num_tokens), kTokenFromDevice);
  row.start = scheduled;
  row.pages = pages.pages;
  row.sample = end == length() && !all_drawn();
  row.reset_slot = slot_is_new;
  row.output_tokens.clear();
  if (slot_is_new) row.output_tokens.assign(tokens.begin() + prompt_length, tokens.end());
  row.num_generated = generated();
  row.sampling = sampling;
  row.banned.clear();
  if (row.sample && generated() < sampling.min_new_tokens) row.banned = end_tokens;
  fill_logprobs(row);
  slot_is_new = false;
  scheduled = end;
  if (row.sample) ++pending;
  ++steps_in_flight;
}

void Sequence::fill_logprobs(BatchSequence& row) const {
  row.logprob_targets.clear();
  row.logprob_begin = 0;
  row.logprob_end = 0;
  if (wants_input_logprobs()) {
    const int num_rows = static_cast<int>(row.tokens.size());
    const int begin = std::clamp(logprobs.start - row.start, 0, num_rows);
    const int end = std::clamp(prompt_length - 1 - row.start, 0, num_rows);
    if (begin < end) {
      row.logprob_begin = begin;
      row.logprob_end = end;
      const auto first_target = tokens.begin() + row.start + 1;
      row.logprob_targets.assign(first_target + begin, first_target + end);
    }
  }
  const bool wants_any = logprobs.enabled && (row.sample || row.logprob_begin < row.logprob_end);
  row.output_logprobs = logprobs.enabled && row.sample;
  row.top_n = wants_any ? logprobs.top_n : 0;
  row.probes.clear();
  if (wants_any) row.probes = logprobs.probes;
}

}  // namespace musaic
