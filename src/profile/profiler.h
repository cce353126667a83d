#pragma once

#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>

#include "base/status.h"
#include "device/stream_clock.h"
#include "formats/json.h"

namespace musaic {

// The rows of a trace, from the top.
enum class TraceRow { kScheduler = 1, kSteps, kPieces, kBreaks };

// Something that took a while. Spans of one row do not overlap.
struct TraceSpan {
  TraceRow row = TraceRow::kScheduler;
  std::string name;
  double begin = 0.0;  // steady_seconds()
  double end = 0.0;
  Json arguments = Json::object();
};

struct ProfileOptions {
  std::string path;         // of the file, which must not exist
  uint64_t start_step = 0;  // steps since the start of the server before the first that is recorded
  int num_steps = 0;        // steps to record; 0: until stop()
};

// Records what a server does as a file in Chrome's trace format, which chrome://tracing and Perfetto open.
// Off, a step costs one relaxed load. Any thread may start and stop it; the engine's thread adds steps.
class Profiler {
 public:
  Profiler() = default;
  ~Profiler();
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  // Begins a file. One sentence when one is being written, or the path cannot be.
  Status start(const ProfileOptions& options);
  // Completes the file and gives its path; an error when none was begun since the last stop.
  Result<std::string> stop();

  // The engine's thread: counts a step; whether it is to be recorded.
  bool begin_step();
  // Ends the recording of one step.
  void end_step();
  // Whether spans are taken now.
  bool is_recording() const { return is_recording_.load(std::memory_order_relaxed); }
  void add(const TraceSpan& span);

 private:
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void write(const Json& event);  // REQUIRES: mutex_ is held, file_.
  void name_rows();
  void complete();

  std::atomic<bool> is_open_{false};
  std::atomic<bool> is_recording_{false};
  std::atomic<uint64_t> num_steps_{0};  // since the start of the server

  std::mutex mutex_;  // guards all below
  ProfileOptions options_;
  std::unique_ptr<std::FILE, Closer> file_;  // nullptr: completed
  bool was_started_ = false;                 // and not stopped
  bool is_first_event_ = true;
  double begin_ = 0.0;  // steady_seconds()
  int recorded_steps_ = 0;
};

// Adds a span of its own lifetime to the row of the scheduler; nothing where `profiler` is nullptr.
class TraceScope {
 public:
  TraceScope(Profiler* profiler, const char* name)
      : profiler_(profiler), name_(name), begin_(profiler != nullptr ? steady_seconds() : 0.0) {}
  ~TraceScope() {
    if (profiler_ != nullptr) profiler_->add({TraceRow::kScheduler, name_, begin_, steady_seconds()});
  }
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

 private:
  Profiler* const profiler_;
  const char* const name_;
  const double begin_;
};

}  // namespace musaic
