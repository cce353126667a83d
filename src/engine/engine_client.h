#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "metrics/step_counts.h"
#include "request/request.h"

namespace musaic {

// Called on the engine thread, in order; must not block. After an event with `finish` no more follow.
using OutputSink = std::function<void(OutputEvent&&)>;

struct EngineStats {
  int running_requests = 0;
  int waiting_requests = 0;
  int64_t used_tokens = 0;    // KV tokens held by live requests
  int64_t cached_tokens = 0;  // KV tokens held by the prefix cache alone, free on demand
  int64_t token_capacity = 0;
  int max_running_requests = 0;
  int max_queued_requests = 0;
  int context_length = 0;
  double last_gen_throughput = 0.0;  // tokens a second over the last report window
  double cache_hit_rate = 0.0;
  uint64_t retracted_requests = 0;
  uint64_t aborted_requests = 0;
};

// What the server sees of the engine. Every method may be called from any thread.
class EngineClient {
 public:
  virtual ~EngineClient() = default;

  // Takes the requests (all or none) and returns their ids, or kOverloaded when the queue is full,
  // kInvalidArgument when one can never be served (prompt + max_new_tokens over the context or the KV
  // capacity), kUnavailable when draining. Events go to `sink`; the first may arrive before this returns.
  virtual Result<std::vector<RequestId>> submit(std::vector<Request> requests, OutputSink sink) = 0;

  // Ends a request: frees its tokens at the next step. Its sink gets a last event with kAbort unless it has
  // already finished. `quiet`: a text-side stop, not counted as aborted.
  virtual void abort(RequestId request, bool quiet = false) = 0;

  // Forgets the prefix cache. False when requests are running or waiting.
  virtual bool flush_cache() = 0;

  virtual EngineStats stats() const = 0;
  virtual std::vector<StepCount> step_counts() const = 0;

  // Stops taking requests; `idle()` turns true when the last has finished.
  virtual void drain() = 0;
  virtual bool idle() const = 0;
};

}  // namespace musaic
