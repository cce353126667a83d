#include "scheduler/scheduler.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace musaic {

Scheduler::Scheduler(const SchedulerOptions& options, const StepLimits& limits)
    : options_(options),
      limits_(limits),
      max_running_(
          std::min({options.max_running_requests, limits.max_sequences, limits.max_tokens_per_step})),
      cache_(limits.num_pages, limits.page_size, !options.disable_radix_cache),
      reserve_(options.schedule_conservativeness),
      pacer_(options.itl_target_ms * 1e-3) {
  CHECK(max_running_ > 0, "scheduler: no request may run");
  for (int slot = max_running_ - 1; slot >= 0; --slot) free_slots_.push_back(slot);
}

Status Scheduler::check_fits(const Request& request) const {
  const int64_t prompt = static_cast<int64_t>(request.input_ids.size());
  const int64_t total = prompt + request.sampling.max_new_tokens;
  const int64_t capacity = static_cast<int64_t>(limits_.num_pages) * limits_.page_size;
  if (prompt == 0) return invalid_argument("the prompt has no tokens");
  if (total > limits_.max_context) {
    return invalid_argument(
        "prompt ({} tokens) + max_new_tokens ({}) = {} tokens, more than the context of {}", prompt,
        request.sampling.max_new_tokens, total, limits_.max_context);
  }
  if (total > capacity) {
    return invalid_argument(
        "prompt ({} tokens) + max_new_tokens ({}) = {} tokens, more than the KV memory of {}", prompt,
        request.sampling.max_new_tokens, total, capacity);
  }
  return {};
}

void Scheduler::add(Request request, Clock::time_point submitted) {
  const RequestId id = request.id;
  auto sequence = std::make_unique<Sequence>(std::move(request), options_.end_tokens, submitted);
  waiting_.push_back(sequence.get());
  const bool is_new = sequences_.emplace(id, std::move(sequence)).second;
  CHECK(is_new, "request {} was added twice", id);
}

std::optional<OutputEvent> Scheduler::abort(RequestId id, Finish finish) {
  const auto entry = sequences_.find(id);
  if (entry == sequences_.end() || entry->second->finished) return std::nullopt;
  publish(*entry->second);
  return finish_event(*entry->second, std::move(finish));
}

std::vector<OutputEvent> Scheduler::commit(StepOutput output) {
  CHECK(!in_flight_.empty(), "scheduler: a step is committed that was not scheduled");
  const Step step = std::move(in_flight_.front());
  in_flight_.pop_front();
  CHECK(output.sequences.size() == step.size(), "scheduler: {} outputs for {} rows", output.sequences.size(),
        step.size());
  if (output.record.kind == StepKind::kExtend) pacer_.note(output.record.tokens, output.record.seconds);
  std::vector<OutputEvent> events;
  events.reserve(step.size());
  for (size_t i = 0; i < step.size(); ++i) {
    absorb(step[i], std::move(output.sequences[i]), output.record, events);
  }
  return events;
}

std::vector<OutputEvent> Scheduler::fail_step(const Status& status) {
  CHECK(!in_flight_.empty(), "scheduler: a step failed that was not scheduled");
  const Step step = std::move(in_flight_.front());
  in_flight_.pop_front();
  std::vector<OutputEvent> events;
  for (const Row& row : step) {
    Sequence& sequence = *row.sequence;
    --sequence.steps_in_flight;
    if (sequence.finished) {
      forget(sequence);
      continue;
    }
    events.push_back(
        finish_event(sequence, {.kind = FinishKind::kAbort, .message = status.message(), .status = 500}));
  }
  return events;
}

bool Scheduler::flush_cache() {
  if (!idle()) return false;
  cache_.clear_prefixes();
  return true;
}

SchedulerCounts Scheduler::counts() const {
  SchedulerCounts counts = sums_;
  counts.running_requests = static_cast<int>(running_.size());
  counts.waiting_requests = static_cast<int>(waiting_.size());
  counts.used_tokens = static_cast<int64_t>(cache_.used_pages()) * cache_.page_size();
  counts.cached_tokens = static_cast<int64_t>(cache_.cached_pages()) * cache_.page_size();
  counts.token_capacity = static_cast<int64_t>(cache_.num_pages()) * cache_.page_size();
  return counts;
}

void Scheduler::absorb(const Row& row, SequenceOutput output, const StepRecord& record,
                       std::vector<OutputEvent>& events) {
  Sequence& sequence = *row.sequence;
  --sequence.steps_in_flight;
  if (sequence.finished) return forget(sequence);
  sequence.computed = row.end;
  if (row.sampled) --sequence.pending;
  std::move(output.input_logprobs.begin(), output.input_logprobs.end(),
            std::back_inserter(sequence.input_logprobs));
  if (!row.is_decode) publish(sequence);

  OutputEvent event = new_event(sequence);
  for (size_t i = 0; i < output.tokens.size() && !event.finish; ++i) {
    sequence.tokens.push_back(output.tokens[i]);
    event.tokens.push_back(output.tokens[i]);
    if (i < output.output_logprobs.size())
      event.output_logprobs.push_back(std::move(output.output_logprobs[i]));
    event.finish = finish_after(sequence, output.tokens[i]);
  }
  sums_.generated_tokens += event.tokens.size();
  if (row.sampled && output.tokens.empty()) {
    event.finish = Finish{.kind = FinishKind::kAbort, .message = "the step drew no token", .status = 500};
  }
  const bool prefill_only = sequence.sampling.max_new_tokens == 0;
  if (prefill_only && sequence.computed >= sequence.prompt_length)
    event.finish = Finish{.kind = FinishKind::kLength};
  if (event.tokens.empty() && !event.finish) return;

  if (!sequence.answered) event.input_logprobs = std::move(sequence.input_logprobs);
  if (!sequence.answered || event.finish) event.step_reason = describe(record);
  sequence.answered = true;
  if (event.finish) {
    publish(sequence);
    finish(sequence);
  }
  events.push_back(std::move(event));
}

std::optional<Finish> Scheduler::finish_after(const Sequence& sequence, TokenId token) const {
  const auto& end_tokens = sequence.end_tokens;
  const bool may_stop = sequence.drawn() > sequence.sampling.min_new_tokens;
  if (may_stop && std::binary_search(end_tokens.begin(), end_tokens.end(), token)) {
    return Finish{.kind = FinishKind::kStopToken, .matched = token};
  }
  const bool context_is_full = static_cast<int>(sequence.tokens.size()) >= limits_.max_context;
  if (context_is_full || sequence.drawn() >= sequence.sampling.max_new_tokens) {
    return Finish{.kind = FinishKind::kLength};
  }
  return std::nullopt;
}

OutputEvent Scheduler::new_event(const Sequence& sequence) const {
  OutputEvent event;
  event.request = sequence.id;
  event.prompt_tokens = sequence.prompt_length;
  event.cached_tokens = sequence.cached_tokens;
  event.queue_seconds = std::max(0.0, sequence.queue_seconds);
  return event;
}

OutputEvent Scheduler::finish_event(Sequence& sequence, Finish finish_as) {
  OutputEvent event = new_event(sequence);
  event.finish = std::move(finish_as);
  finish(sequence);
  return event;
}

void Scheduler::publish(Sequence& sequence) {
  if (sequence.slot < 0) return;
  const auto computed = static_cast<size_t>(sequence.computed);
  cache_.publish(sequence.pages, std::span<const TokenId>(sequence.tokens).first(computed));
}

void Scheduler::finish(Sequence& sequence) {
  if (sequence.slot < 0) {
    std::erase(waiting_, &sequence);
  } else {
    std::erase(running_, &sequence);
  }
  sequence.finished = true;
  forget(sequence);
}

// Gives back the slot and the pages.
void Scheduler::leave(Sequence& sequence) {
  if (sequence.slot < 0) return;
  free_slots_.push_back(sequence.slot);
  sequence.slot = -1;
  cache_.release(sequence.pages);
}

// Frees a finished sequence unless a step in flight still writes to its pages.
void Scheduler::forget(Sequence& sequence) {
  if (sequence.steps_in_flight > 0) return;
  leave(sequence);
  sequences_.erase(sequence.id);
}

}  // namespace musaic
