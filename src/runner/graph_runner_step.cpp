#include <chrono>

#include "base/log.h"
#include "program/buckets.h"
#include "runner/graph_runner.h"
#include "runner/logprob_reader.h"

namespace musaic {
namespace {

std::vector<HeadRow> wanted_rows(const Batch& batch) {
  std::vector<HeadRow> rows;
  int first_row = 0;
  for (int s = 0; s < static_cast<int>(batch.sequences.size()); ++s) {
    const BatchSequence& sequence = batch.sequences[s];
    for (int i = sequence.logprob_begin; i < sequence.logprob_end; ++i) {
      rows.push_back({first_row + i, s, false, sequence.logprob_targets[i - sequence.logprob_begin]});
    }
    first_row += static_cast<int>(sequence.tokens.size());
    if (sequence.sample) rows.push_back({first_row - 1, s, true, -1});
  }
  return rows;
}

std::vector<int> sequences_of(std::span<const HeadRow> rows) {
  std::vector<int> sequences;
  for (const HeadRow& row : rows) sequences.push_back(row.sequence);
  return sequences;
}

// A head that does not run as the body did says why.
void note_head(StepRecord& record, const StepChoice& head) {
  if (record.replayed && !head.replay) record.reason = "head_" + std::string(head.reason);
}

}  // namespace

// Runs a program as chosen. `extent()` tells what the run touches, for a step that is verified.
template <class Extent>
StepChoice GraphRunner::run_program(Program& program, StepChoice choice, const Extent& extent) {
  if (!choice.replay) {
    program.run_eagerly(choice.bucket);
    return choice;
  }
  if (!is_verifying_) {
    program.replay(choice.bucket);
    return choice;
  }
  const auto finding = verifier_.verify(program, choice.bucket, extent());
  if (!finding) return {choice.bucket, true, "verified"};
  spdlog::error("{}; this bucket runs eagerly from now on", describe(*finding));
  captures_.quarantine(program, choice.bucket);
  return {choice.bucket, false, "verify_differed"};
}

// A new sequence's penalties start from its own past, not from the slot's last owner.
void GraphRunner::prepare_slots(const Batch& batch) {
  const size_t row_bytes = static_cast<size_t>(limits_.vocab_size) * sizeof(int32_t);
  for (const BatchSequence& sequence : batch.sequences) {
    if (!sequence.reset_slot || !has_penalties(sequence.sampling)) continue;
    int32_t* row =
        buffers_.get<int32_t>("token_counts") + static_cast<size_t>(sequence.slot) * limits_.vocab_size;
    std::vector<int32_t> counts(limits_.vocab_size, 0);
    for (TokenId token : sequence.output_tokens) ++counts[token];
    backend_.copy_to_device(row, counts.data(), row_bytes, backend_.stream());
  }
}

StepRecord GraphRunner::run_body(const Batch& batch) {
  const int tokens = batch.num_tokens();
  Program& program = batch.kind == StepKind::kDecode ? decode_ : extend_;
  StepChoice choice = choose(batch.kind, tokens);
  if (choice.replay) {
    captures_.prepare(program, choice.bucket);
    choice = choose(batch.kind, tokens);  // the budget may have refused it
  }
  is_verifying_ = choice.replay && verifier_.take_step();
  step_writer_->write(batch);
  choice = run_program(program, choice, [&] { return body_extent(batch, limits_.page_size); });
  return {.kind = batch.kind,
          .replayed = choice.replay,
          .tokens = tokens,
          .bucket = choice.bucket,
          .reason = std::string(choice.reason)};
}

StepChoice GraphRunner::run_head_program(Program& program, const Batch& batch, std::span<const HeadRow> rows,
                                         bool replay) {
  StepChoice choice{bucket_for(head_sizes_, static_cast<int>(rows.size())), false, "body"};
  if (replay) {
    captures_.prepare(program, choice.bucket);
    choice = captures_.choose(program, choice.bucket, /*may_pad=*/true);
  }
  return run_program(program, choice, [&] { return head_extent(batch, sequences_of(rows)); });
}

void GraphRunner::run_head(const Batch& batch, std::span<const HeadRow> rows, StepOutput& output) {
  const bool replay = output.record.replayed || is_verifying_;
  head_writer_->write_sampling(batch, rows);
  note_head(output.record, run_head_program(head_, batch, rows, replay));
  std::vector<TokenId> tokens(rows.size());
  backend_.copy_to_host(tokens.data(), buffers_.get<int32_t>("token"), tokens.size() * sizeof(TokenId),
                        backend_.stream());
  if (observer_) observer_(rows, last_logits(static_cast<int>(rows.size())).data());
  bool any_logprobs = false;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].draw) output.sequences[rows[i].sequence].tokens.push_back(tokens[i]);
    any_logprobs |= rows[i].target >= 0 || batch.sequences[rows[i].sequence].output_logprobs;
  }
  if (!any_logprobs) return;
  head_writer_->write_logprobs(batch, rows, tokens);
  note_head(output.record, run_head_program(logprobs_, batch, rows, replay));
  read_logprobs(backend_, buffers_, batch, rows, tokens, output);
}

Runner::Ticket GraphRunner::launch(const Batch& batch) {
  CHECK(!pending_, "the last step was not collected");
  const auto start = std::chrono::steady_clock::now();
  StepOutput output;
  for (const BatchSequence& sequence : batch.sequences)
    output.sequences.push_back({.request = sequence.request});
  prepare_slots(batch);
  output.record = run_body(batch);
  const auto rows = wanted_rows(batch);
  for (size_t begin = 0; begin < rows.size(); begin += kMaxHeadRows) {
    const size_t count = std::min<size_t>(kMaxHeadRows, rows.size() - begin);
    run_head(batch, std::span(rows).subspan(begin, count), output);
  }
  output.record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (is_timing_) timer_->end_step();
  is_pending_timed_ = is_timing_;
  pending_ = std::move(output);
  return next_ticket_++;
}

Result<StepOutput> GraphRunner::collect(Ticket ticket) {
  CHECK(pending_ && ticket + 1 == next_ticket_, "ticket {} is not in flight", ticket);
  StepOutput output = std::move(*pending_);
  pending_.reset();
  if (is_pending_timed_) output.segments = timer_->read_step();
  return output;
}

}  // namespace musaic
