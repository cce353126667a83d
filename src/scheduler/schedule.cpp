#include <algorithm>

#include "base/check.h"
#include "scheduler/scheduler.h"

namespace musaic {
namespace {

constexpr int kLeastPacedTokens = 32;  // below, a step costs nearly the same and prompts crawl

}  // namespace

const Batch& Scheduler::schedule() {
  num_rows_ = 0;
  step_.clear();
  contents_ = {};
  const uint64_t retractions = sums_.retractions;
  if (make_room_for_decodes()) {
    add_decode_rows();
    budget_ = prompt_budget();
    add_prompt_rows();
    const bool has_retracted = sums_.retractions != retractions;
    if (!has_retracted) admit_requests();
    // Prompts that block each other: the oldest goes on.
    while (num_rows_ == 0 && in_flight_.empty() && !running_.empty()) {
      CHECK(running_.size() > 1, "scheduler: request {} alone finds no room", running_.front()->id);
      retract_youngest();
      add_prompt_rows();
    }
  }
  finish_batch();
  return batch_;
}

// Retracts running requests until every decoding one has a page for its next token. False when that must wait
// for the steps in flight.
bool Scheduler::make_room_for_decodes() {
  while (pages_for_decodes() > cache_.available_pages()) {
    if (!in_flight_.empty()) return false;
    retract_youngest();
  }
  return true;
}

int Scheduler::pages_for_decodes() const {
  int pages = 0;
  for (const Sequence* sequence : running_) {
    if (sequence->is_decoding()) pages += cache_.missing_pages(sequence->pages, sequence->scheduled + 1);
  }
  return pages;
}

void Scheduler::add_decode_rows() {
  for (Sequence* sequence : running_) {
    if (!sequence->is_decoding()) continue;
    add_row(*sequence, 1);
    ++contents_.decode_rows;
  }
  if (contents_.decode_rows > 0) reserve_.sink();
}

void Scheduler::add_prompt_rows() {
  for (Sequence* sequence : running_) {
    if (budget_ <= 0) break;
    if (sequence->is_prefilling()) add_prompt_row(*sequence);
  }
}

// Adds as much of the prompt as the budget and the free pages allow.
void Scheduler::add_prompt_row(Sequence& sequence) {
  const bool chunked = options_.chunked_prefill_size > 0;
  if (!chunked && sequence.remaining() > budget_ && contents_.prompt_tokens > 0) return;
  const int pages = static_cast<int>(sequence.pages.pages.size()) + cache_.available_pages();
  const int room = pages * cache_.page_size() - sequence.scheduled;
  const int num_tokens = std::min({sequence.remaining(), budget_, room});
  if (num_tokens <= 0) return;
  add_row(sequence, num_tokens);
  budget_ -= num_tokens;
  contents_.prompt_tokens += num_tokens;
}

void Scheduler::add_row(Sequence& sequence, int num_tokens) {
  const bool is_decode = sequence.is_decoding();
  const bool has_pages = cache_.grow(sequence.pages, sequence.scheduled + num_tokens);
  CHECK(has_pages, "scheduler: no pages for request {}", sequence.id);
  if (num_rows_ == batch_.sequences.size()) batch_.sequences.emplace_back();
  BatchSequence& row = batch_.sequences[num_rows_++];
  sequence.take_row(num_tokens, row);
  step_.push_back({&sequence, sequence.scheduled, row.sample, is_decode});
}

int Scheduler::max_step_tokens() const {
  const int chunk = options_.chunked_prefill_size;
  return chunk > 0 ? std::min(chunk, limits_.max_tokens_per_step) : limits_.max_tokens_per_step;
}

// A step without decode rows delays no answer, and with chunking off a prompt is not cut for one.
int Scheduler::paced_step_tokens() const {
  if (contents_.decode_rows == 0 || options_.chunked_prefill_size <= 0) return max_step_tokens();
  const int paced = std::max(pacer_.tokens_within_target(), kLeastPacedTokens);
  return std::min(paced, max_step_tokens());
}

// Decode rows count against the chunk, but where they fill it a prompt still gets a page, lest it wait for
// ever.
int Scheduler::prompt_budget() const {
  const int least = std::min(limits_.page_size, max_step_tokens());
  const int chunk = std::max(paced_step_tokens() - contents_.decode_rows, least);
  return std::min({chunk, limits_.max_tokens_per_step - contents_.decode_rows, options_.max_prefill_tokens});
}

// The oldest request is never retracted while another runs, so that some request always gets to its end.
void Scheduler::retract_youngest() {
  const auto younger = [](const Sequence* a, const Sequence* b) { return a->id < b->id; };
  Sequence& sequence = **std::max_element(running_.begin(), running_.end(), younger);
  CHECK(running_.size() > 1 && sequence.steps_in_flight == 0, "scheduler: request {} cannot be retracted",
        sequence.id);
  std::erase(running_, &sequence);
  publish(sequence);
  leave(sequence);
  wait_again(sequence);
  ++sums_.retractions;
  double drawn = 0.0;
  double allowed = 0.0;
  for (const Sequence* other : running_) {
    drawn += other->drawn();
    allowed += other->sampling.max_new_tokens;
  }
  reserve_.raise(static_cast<int>(running_.size()), drawn, allowed);
}

void Scheduler::wait_again(Sequence& sequence) {
  sequence.retracted = true;
  sequence.scheduled = 0;
  sequence.computed = 0;
  if (!sequence.answered) sequence.input_logprobs.clear();
  const auto is_behind = [&](const Sequence* other) { return !other->retracted || other->id > sequence.id; };
  waiting_.insert(std::find_if(waiting_.begin(), waiting_.end(), is_behind), &sequence);
}

void Scheduler::finish_batch() {
  batch_.sequences.resize(num_rows_);
  const bool only_decodes = contents_.decode_rows == static_cast<int>(num_rows_);
  batch_.kind = only_decodes ? StepKind::kDecode : StepKind::kExtend;
  if (num_rows_ > 0) in_flight_.push_back(step_);
}

}  // namespace musaic
