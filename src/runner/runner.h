#pragma once

#include <cstdint>

#include "base/status.h"
#include "request/batch.h"

namespace musaic {

struct RunnerLimits {
  int max_tokens_per_step = 0;  // rows that the arena is planned for
  int max_sequences = 0;        // slots
  int max_context = 0;          // positions a sequence may have
  int page_size = 0;            // tokens a KV page
  int num_pages = 0;
  int vocab_size = 0;
  int max_steps_in_flight = 8;  // launched and not collected
};

// Runs steps on a device. Called by the engine thread only. A failed step is reported by collect and leaves
// the runner usable.
class Runner {
 public:
  using Ticket = uint64_t;

  virtual ~Runner() = default;
  virtual const RunnerLimits& limits() const = 0;
  // Enqueues a step. REQUIRES: the batch keeps the limits. The batch may change once this returns. What it
  // throws (a kernel that refuses its call) fails the step, which is not collected then.
  virtual Ticket launch(const Batch& batch) = 0;
  // Waits for the step; tickets are collected in launch order. What it throws fails the step.
  virtual Result<StepOutput> collect(Ticket ticket) = 0;
  // Whether steps that are launched from now on tell when each of their segments ran.
  virtual void time_segments(bool) {}
  // Does a bounded piece of background work (capturing one more bucket). Returns false when nothing is left.
  // May throw as launch does; it is not called again then.
  virtual bool work_while_idle() { return false; }
};

}  // namespace musaic
