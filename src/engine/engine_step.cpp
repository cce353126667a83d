#include <algorithm>
#include <utility>

#include "base/log.h"
#include "device/device_lost.h"
#include "engine/engine.h"
#include "engine/step_trace.h"

namespace musaic {

namespace {

Finish end_of_all(int status, std::string message) {
  return {.kind = FinishKind::kAbort, .message = std::move(message), .status = status};
}

}  // namespace

bool Engine::step() {
  take_commands();
  const Batch& batch = schedule();
  const bool has_batch = !batch.empty();
  if (has_batch) launch(batch);
  const size_t may_stay = has_batch ? static_cast<size_t>(options_.overlap_depth) : 0;
  const bool must_collect = in_flight_.size() > may_stay;
  if (must_collect) collect_oldest();
  return has_batch || must_collect;
}

void Engine::run() {
  while (!is_stopping()) {
    const bool did_work = step();
    if (!device_error_.empty()) return give_up();
    if (did_work) continue;
    CHECK(scheduler_.idle(), "the engine has requests but nothing to run");
    report_.pause(scheduler_.counts(), Clock::now());
    publish_stats();
    const bool did_idle_work = work_while_idle();
    if (!device_error_.empty()) return give_up();
    if (!did_idle_work) sleep_until_commands();
  }
  end_all_requests(end_of_all(503, "the server is shutting down"));
}

void Engine::give_up() {
  spdlog::critical("{}", device_error_);
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  end_all_requests(end_of_all(500, device_error_));
  if (on_device_lost_) on_device_lost_();
}

bool Engine::work_while_idle() {
  if (idle_work_failed_) return false;
  try {
    return runner_.work_while_idle();
  } catch (const DeviceLost& error) {
    device_error_ = error.what();
    return false;
  } catch (const std::exception& error) {
    spdlog::error("work between steps failed, there will be no more of it: {}", error.what());
    idle_work_failed_ = true;
    return false;
  }
}

bool Engine::is_stopping() const {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

// Why a step fails; that the device is lost is remembered.
Status Engine::failure(const std::exception& error) {
  if (dynamic_cast<const DeviceLost*>(&error) != nullptr) device_error_ = error.what();
  return Status(StatusCode::kInternal, error.what());
}

// nullptr: nothing is recorded now.
Profiler* Engine::recording_profiler() const {
  return profiler_ != nullptr && profiler_->is_recording() ? profiler_ : nullptr;
}

const Batch& Engine::schedule() {
  const TraceScope scope(recording_profiler(), "schedule");
  return scheduler_.schedule();
}

void Engine::launch(const Batch& batch) {
  if (profiler_ != nullptr) runner_.time_segments(profiler_->begin_step());
  const TraceScope scope(recording_profiler(), "launch");
  const Clock::time_point now = Clock::now();
  const Watchdog::Watch watch(watchdog_);
  Result<Runner::Ticket> ticket = [&]() -> Result<Runner::Ticket> {
    try {
      return runner_.launch(batch);
    } catch (const std::exception& error) {
      return failure(error);
    }
  }();
  in_flight_.push_back({std::move(ticket), scheduler_.last_step(), now});
}

Result<StepOutput> Engine::collect(const InFlight& step) {
  if (!step.ticket.ok()) return step.ticket.status();
  const TraceScope scope(recording_profiler(), "collect");
  const Watchdog::Watch watch(watchdog_);
  try {
    return runner_.collect(step.ticket.value());
  } catch (const std::exception& error) {
    return failure(error);
  }
}

void Engine::collect_oldest() {
  const InFlight oldest = in_flight_.front();
  in_flight_.pop_front();
  Result<StepOutput> output = collect(oldest);
  if (!output.ok()) {
    spdlog::error("a step failed, its requests are ended: {}", output.status().message());
    std::vector<OutputEvent> events = scheduler_.fail_step(output.status());
    aborted_requests_ += events.size();
    return deliver(std::move(events));
  }
  if (Profiler* profiler = recording_profiler()) add_step(*profiler, *output);
  const TraceScope scope(recording_profiler(), "commit");
  StepRecord record = output->record;
  const Clock::time_point now = Clock::now();
  if (record.seconds <= 0.0) record.seconds = std::chrono::duration<double>(now - oldest.launched).count();
  std::vector<OutputEvent> events = scheduler_.commit(*std::move(output));
  report_.add(oldest.contents, record, scheduler_.counts(), now);
  {
    const std::lock_guard lock(mutex_);
    step_counts_.add(record);
  }
  deliver(std::move(events));
}

void Engine::take_commands() {
  Commands commands;
  bool has_requests = false;
  {
    const std::lock_guard lock(mutex_);
    std::swap(commands, commands_);
    has_requests = live_requests_ > 0;
  }
  if (commands.empty()) return;
  for (Submitted& submitted : commands.requests) {
    sinks_.emplace(submitted.request.id, std::move(submitted.sink));
    scheduler_.add(std::move(submitted.request), submitted.time);
  }
  std::vector<OutputEvent> events;
  for (const Abort& abort : commands.aborts) {
    auto event =
        scheduler_.abort(abort.request, {.kind = FinishKind::kAbort, .message = "aborted by the client"});
    if (!event) continue;
    if (!abort.quiet) ++aborted_requests_;
    events.push_back(*std::move(event));
  }
  if (!events.empty()) deliver(std::move(events));
  answer_flushes(std::move(commands.flushes), has_requests);
}

// A flush waits for steps in flight of requests that have ended.
void Engine::answer_flushes(std::vector<std::promise<bool>> flushes, bool has_requests) {
  for (std::promise<bool>& flush : flushes) {
    const bool flushed = scheduler_.flush_cache();
    if (flushed || has_requests) {
      publish_stats();
      flush.set_value(flushed);
      continue;
    }
    const std::lock_guard lock(mutex_);
    commands_.flushes.push_back(std::move(flush));
  }
}

void Engine::deliver(std::vector<OutputEvent> events) {
  publish_stats();
  const auto finished = static_cast<int>(std::count_if(
      events.begin(), events.end(), [](const OutputEvent& event) { return event.finish.has_value(); }));
  if (finished > 0) {
    // Whoever has the last event of a request finds its place in the queue free.
    const std::lock_guard lock(mutex_);
    unfinished_requests_ -= finished;
  }
  for (OutputEvent& event : events) {
    const auto entry = sinks_.find(event.request);
    CHECK(entry != sinks_.end(), "no sink for request {}", event.request);
    const auto sink = entry->second;
    if (event.finish) sinks_.erase(entry);
    (*sink)(std::move(event));
  }
  if (finished == 0) return;
  const std::lock_guard lock(mutex_);
  live_requests_ -= finished;
}

void Engine::publish_stats() {
  const SchedulerCounts counts = scheduler_.counts();
  const std::lock_guard lock(mutex_);
  stats_.running_requests = counts.running_requests;
  stats_.waiting_requests = counts.waiting_requests + static_cast<int>(commands_.requests.size());
  stats_.used_tokens = counts.used_tokens;
  stats_.cached_tokens = counts.cached_tokens;
  stats_.token_capacity = counts.token_capacity;
  stats_.max_running_requests = scheduler_.max_running_requests();
  stats_.max_queued_requests = options_.max_queued_requests;
  stats_.context_length = runner_.limits().max_context;
  stats_.last_gen_throughput = report_.generated_per_second();
  stats_.cache_hit_rate = report_.cache_hit_rate();
  stats_.retracted_requests = counts.retractions;
  stats_.aborted_requests = aborted_requests_;
}

void Engine::end_all_requests(const Finish& finish) {
  take_commands();
  while (!in_flight_.empty()) collect_oldest();
  std::vector<RequestId> ids;
  for (const auto& [id, sink] : sinks_) ids.push_back(id);
  std::vector<OutputEvent> events;
  for (const RequestId id : ids) {
    if (auto event = scheduler_.abort(id, finish)) events.push_back(*std::move(event));
  }
  aborted_requests_ += events.size();
  deliver(std::move(events));
  const std::lock_guard lock(mutex_);
  has_thread_ = false;
  for (std::promise<bool>& flush : commands_.flushes) flush.set_value(false);
  commands_.flushes.clear();
}

void Engine::sleep_until_commands() {
  std::unique_lock lock(mutex_);
  commands_came_.wait(lock, [this] { return stopping_ || !commands_.empty(); });
}

}  // namespace musaic
