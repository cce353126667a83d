#include "cli/timed_steps.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/status.h"
#include "cli/step_batches.h"

namespace musaic {
namespace {

SamplingParams greedy() {
  SamplingParams sampling;
  sampling.temperature = 0.0f;
  sampling.seed = 0;
  return sampling;
}

}  // namespace

TimedSteps::TimedSteps(GraphRunner& runner, int num_sequences, int capacity)
    : runner_(runner), pages_each_(pages_for(capacity, runner.limits().page_size)) {
  const RunnerLimits& limits = runner.limits();
  if (capacity > limits.max_context)
    fail_load("{} tokens a sequence are above the context of {}", capacity, limits.max_context);
  if (num_sequences > limits.max_sequences)
    fail_load("{} sequences are above --max-running-requests {}", num_sequences, limits.max_sequences);
  if (num_sequences * pages_each_ > limits.num_pages) {
    fail_load("{} sequences of {} tokens do not fit the KV cache of {}; see --max-total-tokens",
              num_sequences, capacity, limits.num_pages * limits.page_size);
  }
}

std::vector<int32_t> TimedSteps::pages(int index, int tokens) const {
  return page_run(index * pages_each_, pages_for(tokens, runner_.limits().page_size));
}

TokenId TimedSteps::random_token() {
  return static_cast<TokenId>(random_() % static_cast<uint32_t>(runner_.limits().vocab_size));
}

double TimedSteps::run(const Batch& batch) {
  const auto start = std::chrono::steady_clock::now();
  const auto output = runner_.collect(runner_.launch(batch));
  if (!output.ok()) fail_load("a step failed: {}", output.status().message());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double TimedSteps::prefill(int index, int tokens) {
  double seconds = 0.0;
  for (int done = 0; done < tokens;) {
    const int count = std::min(tokens - done, runner_.limits().max_tokens_per_step);
    BatchSequence sequence{.request = 1, .slot = index, .start = done};
    for (int i = 0; i < count; ++i) sequence.tokens.push_back(random_token());
    done += count;
    sequence.pages = pages(index, done);
    sequence.sample = done == tokens;
    sequence.sampling = greedy();
    seconds += run({.kind = StepKind::kExtend, .sequences = {std::move(sequence)}});
  }
  return seconds;
}

Batch TimedSteps::decode_step(int batch_size, int past) {
  Batch batch{.kind = StepKind::kDecode, .sequences = {}};
  for (int index = 0; index < batch_size; ++index) {
    BatchSequence sequence{.request = static_cast<RequestId>(index + 1), .slot = index};
    sequence.tokens = {random_token()};
    sequence.start = past;
    sequence.pages = pages(index, past + 1);
    sequence.sample = true;
    sequence.sampling = greedy();
    batch.sequences.push_back(std::move(sequence));
  }
  return batch;
}

double TimedSteps::decode(int batch, int past) {
  return run(decode_step(batch, past));
}

double TimedSteps::decode_overlapped(int batch, int past, int steps) {
  const auto collect = [&](Runner::Ticket ticket) {
    const auto output = runner_.collect(ticket);
    if (!output.ok()) fail_load("a step failed: {}", output.status().message());
  };
  const auto start = std::chrono::steady_clock::now();
  Runner::Ticket last = runner_.launch(decode_step(batch, past));
  for (int step = 1; step < steps; ++step) {
    Batch next = decode_step(batch, past + step);
    for (BatchSequence& sequence : next.sequences) sequence.tokens = {kTokenFromDevice};
    const Runner::Ticket ticket = runner_.launch(next);
    collect(std::exchange(last, ticket));
  }
  collect(last);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / steps;
}

double TimedSteps::experts_read(int batch, int past) {
  constexpr int kSteps = 4;
  double sum = 0.0;
  size_t layers = 0;
  for (int step = 0; step < kSteps; ++step) {
    for (int experts : runner_.count_experts(decode_step(batch, past))) {
      sum += experts;
      ++layers;
    }
  }
  return layers == 0 ? 0.0 : sum / static_cast<double>(layers);
}

}  // namespace musaic
