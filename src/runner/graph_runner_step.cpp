#include <algorithm>
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

// In a decode step row s is sequence s.
std::vector<HeadRow> rows_of_decode(const Batch& batch) {
  std::vector<HeadRow> rows;
  for (int s = 0; s < static_cast<int>(batch.sequences.size()); ++s) {
    const BatchSequence& sequence = batch.sequences[s];
    const bool has_target = sequence.logprob_begin < sequence.logprob_end;
    rows.push_back({s, s, sequence.sample, has_target ? sequence.logprob_targets.front() : TokenId{-1}});
  }
  return rows;
}

// Waits for the tokens of these rows and gives them to the rows' sequences.
std::vector<TokenId> read_tokens(HostReader& reader, std::span<const HeadRow> rows, StepOutput& output) {
  const auto* first = static_cast<const TokenId*>(reader.wait());
  std::vector<TokenId> tokens(first, first + rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].draw) output.sequences[rows[i].sequence].tokens.push_back(tokens[i]);
  }
  return tokens;
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

template <class WriteInputs>
StepRecord GraphRunner::run_body(const Batch& batch, const WriteInputs& write_inputs) {
  const int tokens = batch.num_tokens();
  Program& program = batch.kind == StepKind::kDecode ? decode_ : extend_;
  StepChoice choice = choose(batch.kind, tokens);
  if (choice.replay) {
    captures_.prepare(program, choice.bucket);
    choice = choose(batch.kind, tokens);  // the budget may have refused it
  }
  is_verifying_ = choice.replay && verifier_.take_step();
  const bool decode = batch.kind == StepKind::kDecode;
  write_inputs();
  const char* token_ids = decode ? "decode.token_ids" : "token_ids";
  buffers_.upload(feed_.copies(buffers_.get<int32_t>(token_ids), buffers_.get<int32_t>("token")));
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

// Body and head are one program, and its inputs one upload.
void GraphRunner::run_decode(const Batch& batch, InFlight& step) {
  const std::vector<HeadRow> rows = rows_of_decode(batch);
  step.output.record = run_body(batch, [&] {
    step_writer_->write(batch, kDecodeInputs);
    head_writer_->write_sampling(batch, rows, kDecodeInputs);
  });
  take_tokens(batch, rows, /*is_last_chunk=*/true, step);
}

void GraphRunner::run_extend(const Batch& batch, InFlight& step) {
  step.output.record = run_body(batch, [&] { step_writer_->write(batch, ""); });
  const bool replay = step.output.record.replayed || is_verifying_;
  const std::vector<HeadRow> rows = wanted_rows(batch);
  const auto most = static_cast<size_t>(max_head_rows());
  for (size_t begin = 0; begin < rows.size(); begin += most) {
    const auto chunk = std::span(rows).subspan(begin, std::min(most, rows.size() - begin));
    head_writer_->write_rows(chunk);
    head_writer_->write_sampling(batch, chunk);
    buffers_.upload();
    note_head(step.output.record, run_head_program(head_, batch, chunk, replay));
    take_tokens(batch, chunk, begin + most >= rows.size(), step);
  }
}

// Why the host needs the tokens of these rows before the launch ends; empty: it does not.
std::string_view GraphRunner::why_wait(const Batch& batch, std::span<const HeadRow> rows,
                                       bool is_last_chunk) const {
  if (!is_last_chunk) return "head_chunks";
  if (observer_) return "observed";
  const bool any_logprobs = std::any_of(rows.begin(), rows.end(), [&](const HeadRow& row) {
    return row.target >= 0 || batch.sequences[row.sequence].output_logprobs;
  });
  return any_logprobs ? "logprobs" : "";
}

// Begins to read what was drawn; waits for it where the step cannot go on without.
void GraphRunner::take_tokens(const Batch& batch, std::span<const HeadRow> rows, bool is_last_chunk,
                              InFlight& step) {
  feed_.note_drawn(batch, rows);
  step.reader = readers_[next_ticket_ % kMaxStepsInFlight].get();
  step.reader->start(buffers_.get<int32_t>("token"), rows.size() * sizeof(TokenId), backend_.stream());
  const std::string_view reason = why_wait(batch, rows, is_last_chunk);
  if (reason.empty()) {
    step.rows.assign(rows.begin(), rows.end());
    return;
  }
  if (options_.overlap) step.output.record.waited = reason;
  const std::vector<TokenId> tokens = read_tokens(*step.reader, rows, step.output);
  feed_.note_read(batch, rows, tokens);
  if (observer_) observer_(rows, last_logits(static_cast<int>(rows.size())).data());
  run_logprobs(batch, rows, tokens, step.output);
}

void GraphRunner::run_logprobs(const Batch& batch, std::span<const HeadRow> rows,
                               std::span<const TokenId> tokens, StepOutput& output) {
  const bool wanted = std::any_of(rows.begin(), rows.end(), [&](const HeadRow& row) {
    return row.target >= 0 || batch.sequences[row.sequence].output_logprobs;
  });
  if (!wanted) return;
  head_writer_->write_logprobs(batch, rows, tokens);
  buffers_.upload();
  const bool replay = output.record.replayed || is_verifying_;
  note_head(output.record, run_head_program(logprobs_, batch, rows, replay));
  read_logprobs(backend_, buffers_, batch, rows, tokens, output);
}

Runner::Ticket GraphRunner::launch(const Batch& batch) {
  CHECK(in_flight_.size() < kMaxStepsInFlight, "{} steps are in flight", in_flight_.size());
  InFlight step{.start = std::chrono::steady_clock::now()};
  for (const BatchSequence& sequence : batch.sequences)
    step.output.sequences.push_back({.request = sequence.request});
  prepare_slots(batch);
  batch.kind == StepKind::kDecode ? run_decode(batch, step) : run_extend(batch, step);
  if (is_timing_) timer_->end_step();
  step.is_timed = is_timing_;
  in_flight_.push_back(std::move(step));
  return next_ticket_++;
}

Result<StepOutput> GraphRunner::collect(Ticket ticket) {
  CHECK(!in_flight_.empty() && ticket + in_flight_.size() == next_ticket_, "ticket {} is not the oldest",
        ticket);
  InFlight step = std::move(in_flight_.front());
  in_flight_.pop_front();
  if (!step.rows.empty()) read_tokens(*step.reader, step.rows, step.output);
  if (step.is_timed) step.output.segments = timer_->read_step();
  const auto now = std::chrono::steady_clock::now();
  const auto begin = std::max(step.start, last_end_);  // a step waits for the one before
  step.output.record.seconds = std::chrono::duration<double>(now - begin).count();
  last_end_ = now;
  return std::move(step.output);
}

}  // namespace musaic
