#include "engine/engine.h"

#include <utility>

#include "sampling/sampling_params.h"

namespace musaic {
namespace {

StepLimits step_limits(const RunnerLimits& limits) {
  return {.max_tokens_per_step = limits.max_tokens_per_step,
          .max_sequences = limits.max_sequences,
          .max_context = limits.max_context,
          .page_size = limits.page_size,
          .num_pages = limits.num_pages};
}

void require_positive(const char* name, double value) {
  if (!(value > 0)) fail_load("{} must be above 0, got {}", name, value);
}

const SchedulerOptions& checked(const EngineOptions& options, const RunnerLimits& limits) {
  require_positive("max_tokens_per_step", limits.max_tokens_per_step);
  require_positive("max_sequences", limits.max_sequences);
  require_positive("page_size", limits.page_size);
  require_positive("the number of KV pages", limits.num_pages);
  const SchedulerOptions& scheduler = options.scheduler;
  if (scheduler.chunked_prefill_size != -1)
    require_positive("chunked-prefill-size", scheduler.chunked_prefill_size);
  require_positive("max-prefill-tokens", scheduler.max_prefill_tokens);
  require_positive("max-running-requests", scheduler.max_running_requests);
  if (!(scheduler.schedule_conservativeness >= 0)) {
    fail_load("schedule-conservativeness must be 0 or more, got {}", scheduler.schedule_conservativeness);
  }
  if (options.max_queued_requests < 0) {
    fail_load("max-queued-requests must be 0 or more, got {}", options.max_queued_requests);
  }
  if (options.overlap_depth < 0 || options.overlap_depth >= limits.max_steps_in_flight) {
    fail_load("the overlap depth must be from 0 to {}, got {}", limits.max_steps_in_flight - 1,
              options.overlap_depth);
  }
  return scheduler;
}

}  // namespace

Engine::Engine(Runner& runner, const EngineOptions& options)
    : runner_(runner),
      options_(options),
      scheduler_(checked(options, runner.limits()), step_limits(runner.limits())),
      report_(options.log_interval_s),
      watchdog_(options.watchdog_timeout_s),
      seeds_(options.random_seed) {
  publish_stats();
}

Engine::~Engine() {
  stop();
}

void Engine::start() {
  const std::lock_guard lock(mutex_);
  CHECK(!has_thread_ && !stopping_, "the engine is started twice");
  has_thread_ = true;
  thread_ = std::thread([this] { run(); });
}

void Engine::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  commands_came_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  } else {
    end_all_requests({.kind = FinishKind::kAbort, .message = "the server is shutting down", .status = 503});
  }
}

Result<std::vector<RequestId>> Engine::submit(std::vector<Request> requests, OutputSink sink) {
  for (const Request& request : requests) {
    if (Status status = check_request(request); !status.ok()) return status;
  }
  const auto shared_sink = std::make_shared<const OutputSink>(std::move(sink));
  std::vector<RequestId> ids;
  {
    const std::lock_guard lock(mutex_);
    if (Status status = check_room(requests.size()); !status.ok()) return status;
    for (Request& request : requests) {
      request.id = ++last_id_;
      if (!request.sampling.seed) request.sampling.seed = static_cast<int64_t>(seeds_() >> 1);
      ids.push_back(request.id);
      commands_.requests.push_back({std::move(request), shared_sink, Clock::now()});
    }
    unfinished_requests_ += static_cast<int>(ids.size());
    live_requests_ += static_cast<int>(ids.size());
    stats_.waiting_requests += static_cast<int>(ids.size());
  }
  commands_came_.notify_all();
  return ids;
}

Status Engine::check_request(const Request& request) const {
  const int vocab_size = runner_.limits().vocab_size;
  if (Status status = validate(request.sampling, vocab_size); !status.ok()) return status;
  if (Status status = scheduler_.check_fits(request); !status.ok()) return status;
  const int prompt_length = static_cast<int>(request.input_ids.size());
  if (Status status = validate(request.logprobs, prompt_length, vocab_size); !status.ok()) return status;
  for (const TokenId token : request.input_ids) {
    if (token >= 0 && token < vocab_size) continue;
    return invalid_argument("input_ids: token ids must be in [0, {}), got {}", vocab_size, token);
  }
  return {};
}

Status Engine::check_room(size_t num_requests) const {
  if (draining_ || stopping_) return Status(StatusCode::kUnavailable, "the server is shutting down");
  const size_t limit = static_cast<size_t>(scheduler_.max_running_requests()) +
                       static_cast<size_t>(options_.max_queued_requests);
  if (static_cast<size_t>(unfinished_requests_) + num_requests <= limit) return {};
  return Status(StatusCode::kOverloaded,
                fmt::format("the queue is full: {} requests run or wait, {} more came, the limit is {}",
                            unfinished_requests_, num_requests, limit));
}

void Engine::abort(RequestId request, bool quiet) {
  {
    const std::lock_guard lock(mutex_);
    commands_.aborts.push_back({request, quiet});
  }
  commands_came_.notify_all();
}

bool Engine::flush_cache() {
  std::future<bool> done;
  {
    const std::lock_guard lock(mutex_);
    if (!has_thread_) return scheduler_.flush_cache();
    commands_.flushes.emplace_back();
    done = commands_.flushes.back().get_future();
  }
  commands_came_.notify_all();
  return done.get();
}

EngineStats Engine::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

std::vector<StepCount> Engine::step_counts() const {
  const std::lock_guard lock(mutex_);
  return step_counts_.list();
}

void Engine::drain() {
  const std::lock_guard lock(mutex_);
  draining_ = true;
}

bool Engine::idle() const {
  const std::lock_guard lock(mutex_);
  return live_requests_ == 0;
}

}  // namespace musaic
