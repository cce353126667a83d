#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/engine_client.h"
#include "engine/step_report.h"
#include "engine/watchdog.h"
#include "metrics/step_counts.h"
#include "profile/profiler.h"
#include "runner/runner.h"
#include "scheduler/scheduler.h"

namespace musaic {

// Names as the server's flags.
struct EngineOptions {
  SchedulerOptions scheduler;
  int max_queued_requests = 1024;   // beside those that may run; more are refused with kOverloaded
  int overlap_depth = 0;            // steps launched before the one before them is collected
  uint64_t random_seed = 0;         // of the seeds of requests that bring none
  double watchdog_timeout_s = 300;  // a longer step is an error in the log; 0: never
  double log_interval_s = 5;        // between progress lines while busy
};

// Runs requests: one engine thread schedules, launches, collects and commits steps, and sleeps when there is
// nothing to do. The runner must outlive it.
class Engine final : public EngineClient {
 public:
  // Throws LoadError for options that cannot work with the runner's limits.
  Engine(Runner& runner, const EngineOptions& options);
  ~Engine() override;

  // `callback` is called once, by the engine thread, when the device has failed for good: every request has
  // been ended with status 500, and new ones are refused. Before start().
  void on_device_lost(std::function<void()> callback) { on_device_lost_ = std::move(callback); }
  // Steps are recorded by `profiler` when that is on; it outlives the engine. Before start().
  void record_to(Profiler& profiler) { profiler_ = &profiler; }
  // Starts the engine thread.
  void start();
  // Collects what is in flight, ends the live requests with status 503, and ends the thread. For good.
  void stop();

  Result<std::vector<RequestId>> submit(std::vector<Request> requests, OutputSink sink) override;
  void abort(RequestId request, bool quiet = false) override;
  bool flush_cache() override;
  EngineStats stats() const override;
  std::vector<StepCount> step_counts() const override;
  void drain() override;
  bool idle() const override;

  // One step, on the engine thread or, for tests, with no such thread. False when there was nothing to do.
  bool step();

 private:
  struct Submitted {
    Request request;
    std::shared_ptr<const OutputSink> sink;  // shared by the requests of one submit
    Clock::time_point time;
  };
  struct Abort {
    RequestId request;
    bool quiet;
  };
  // What other threads ask of the engine thread.
  struct Commands {
    std::vector<Submitted> requests;
    std::vector<Abort> aborts;
    std::vector<std::promise<bool>> flushes;

    bool empty() const { return requests.empty() && aborts.empty() && flushes.empty(); }
  };
  struct InFlight {
    Result<Runner::Ticket> ticket;  // or why the step was not enqueued
    StepContents contents;
    Clock::time_point launched;
  };

  // engine.cpp, any thread
  Status check_request(const Request& request) const;
  Status check_room(size_t num_requests) const;  // REQUIRES: mutex_ is held.

  // engine_step.cpp, the engine thread
  void run();
  const Batch& schedule();
  void launch(const Batch& batch);
  void collect_oldest();
  Result<StepOutput> collect(const InFlight& step);
  Status failure(const std::exception& error);
  Profiler* recording_profiler() const;
  void take_commands();
  void answer_flushes(std::vector<std::promise<bool>> flushes, bool has_requests);
  void deliver(std::vector<OutputEvent> events);
  void publish_stats();
  void end_all_requests(const Finish& finish);
  void give_up();
  bool is_stopping() const;
  bool work_while_idle();
  void sleep_until_commands();

  Runner& runner_;
  const EngineOptions options_;

  // The engine thread's own.
  Scheduler scheduler_;
  StepReport report_;
  Watchdog watchdog_;
  Profiler* profiler_ = nullptr;
  std::deque<InFlight> in_flight_;
  bool idle_work_failed_ = false;
  std::string device_error_;  // why the device is lost; empty: it is not
  std::function<void()> on_device_lost_;
  std::unordered_map<RequestId, std::shared_ptr<const OutputSink>> sinks_;
  uint64_t aborted_requests_ = 0;
  std::thread thread_;

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable commands_came_;
  Commands commands_;
  std::mt19937_64 seeds_;
  RequestId last_id_ = 0;
  int unfinished_requests_ = 0;  // what run or wait: their number is limited
  int live_requests_ = 0;        // those whose last event is not handed over
  bool has_thread_ = false;
  bool draining_ = false;
  bool stopping_ = false;
  EngineStats stats_;
  StepCounts step_counts_;
};

}  // namespace musaic
