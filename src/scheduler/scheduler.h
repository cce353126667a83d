#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "kvcache/kv_cache.h"
#include "request/batch.h"
#include "request/request.h"
#include "scheduler/reserve_ratio.h"
#include "scheduler/scheduler_options.h"
#include "scheduler/sequence.h"
#include "scheduler/step_pacer.h"

namespace musaic {

struct SchedulerCounts {
  int running_requests = 0;
  int waiting_requests = 0;
  int64_t used_tokens = 0;    // KV tokens, in whole pages, of live requests
  int64_t cached_tokens = 0;  // KV tokens that only the prefix cache holds
  int64_t token_capacity = 0;
  uint64_t retractions = 0;
  // Sums since the start.
  uint64_t prompt_tokens = 0;         // of admitted requests
  uint64_t cached_prompt_tokens = 0;  // of them, found in the prefix cache
  uint64_t generated_tokens = 0;
};

// What the last schedule() put into its batch.
struct StepContents {
  int new_requests = 0;
  int prompt_tokens = 0;
  int cached_tokens = 0;  // of the new requests
  int decode_rows = 0;
};

// Decides what each step runs: the next token of every running request, then prompt chunks up to the step's
// budget: the chunk or, beside decoding requests, what keeps their inter-token latency. Steps may be
// scheduled before the one before is committed: such rows hold kTokenFromDevice, and commit drops the rows of
// requests that have finished meanwhile. Used by the engine thread only.
class Scheduler {
 public:
  Scheduler(const SchedulerOptions& options, const StepLimits& limits);

  // Why a request with this prompt and max_new_tokens can never be served, if so. Callable from any thread.
  Status check_fits(const Request& request) const;
  int max_running_requests() const { return max_running_; }

  // Puts a request into the queue. REQUIRES: check_fits; an id that is above all earlier ones; sampling.seed
  // is set.
  void add(Request request, Clock::time_point submitted);
  // Ends a request and frees its tokens (once its steps in flight are collected); its last event, or none
  // when it has finished already.
  std::optional<OutputEvent> abort(RequestId id, Finish finish);

  // The next step; counted as in flight unless empty. Empty when there is nothing to run, or nothing before
  // the steps in flight are committed. Valid until the next call.
  const Batch& schedule();
  const StepContents& last_step() const { return contents_; }
  // Takes the result of the oldest step in flight.
  std::vector<OutputEvent> commit(StepOutput output);
  // Ends the requests of the oldest step in flight with status 500.
  std::vector<OutputEvent> fail_step(const Status& status);

  // No request lives and no step is in flight.
  bool idle() const { return sequences_.empty() && in_flight_.empty(); }
  // Forgets the prefix cache. False when requests are running or waiting.
  bool flush_cache();
  SchedulerCounts counts() const;

 private:
  struct Row {
    Sequence* sequence = nullptr;
    int end = 0;  // positions computed once the step is done
    bool sampled = false;
    bool is_decode = false;
  };
  using Step = std::vector<Row>;

  // schedule.cpp
  bool make_room_for_decodes();
  int pages_for_decodes() const;
  void add_decode_rows();
  void add_prompt_rows();
  void add_prompt_row(Sequence& sequence);
  void add_row(Sequence& sequence, int num_tokens);
  int prompt_budget() const;
  int max_step_tokens() const;
  int paced_step_tokens() const;
  void retract_youngest();
  void finish_batch();

  // admission.cpp
  void admit_requests();
  std::vector<Sequence*> admission_order() const;
  bool waits_for_shared_prefix(const Sequence& candidate) const;
  bool admit(Sequence& candidate);
  int reserved_pages() const;
  int reserve_of(const Sequence& sequence) const;
  void note_admission(Sequence& sequence, int matched_tokens);

  // scheduler.cpp
  void absorb(const Row& row, SequenceOutput output, const StepRecord& record,
              std::vector<OutputEvent>& events);
  std::optional<Finish> finish_after(const Sequence& sequence, TokenId token) const;
  OutputEvent new_event(const Sequence& sequence) const;
  OutputEvent finish_event(Sequence& sequence, Finish finish);
  void publish(Sequence& sequence);
  void finish(Sequence& sequence);
  void leave(Sequence& sequence);
  void forget(Sequence& sequence);
  void wait_again(Sequence& sequence);

  const SchedulerOptions options_;
  const StepLimits limits_;
  const int max_running_;
  KvCache cache_;
  ReserveRatio reserve_;
  StepPacer pacer_;
  std::unordered_map<RequestId, std::unique_ptr<Sequence>> sequences_;
  std::deque<Sequence*> waiting_;   // the retracted first, then in order of arrival
  std::vector<Sequence*> running_;  // in order of admission
  std::vector<int> free_slots_;
  std::deque<Step> in_flight_;
  Batch batch_;  // rows are reused, so that a decode step allocates nothing
  size_t num_rows_ = 0;
  Step step_;       // the rows of `batch_`
  int budget_ = 0;  // prompt tokens that the step may still take
  StepContents contents_;
  SchedulerCounts sums_;
};

}  // namespace musaic
