#include "profile/profiler.h"

#include <cerrno>
#include <cmath>
#include <cstring>

namespace musaic {
namespace {

constexpr int kProcess = 1;  // all rows are of one process

constexpr struct {
  TraceRow row;
  const char* name;
} kRows[] = {{TraceRow::kScheduler, "scheduler"},
             {TraceRow::kSteps, "steps"},
             {TraceRow::kPieces, "pieces"},
             {TraceRow::kBreaks, "breaks"}};

// Whole nanoseconds, as the format's microseconds.
double microseconds(double seconds) {
  return std::round(seconds * 1e9) * 1e-3;
}

Json metadata(const char* what, int row, const Json& arguments) {
  return {{"name", what}, {"ph", "M"}, {"pid", kProcess}, {"tid", row}, {"args", arguments}};
}

}  // namespace

Profiler::~Profiler() {
  const std::lock_guard lock(mutex_);
  complete();
}

Status Profiler::start(const ProfileOptions& options) {
  const std::lock_guard lock(mutex_);
  if (was_started_)
    return Status(StatusCode::kBusy, "a profile is being written to " + options_.path + ": stop it first");
  file_.reset(std::fopen(options.path.c_str(), "wxe"));  // x: never over a file that is there
  if (file_ == nullptr)
    return invalid_argument("the profile {} cannot be written: {}", options.path, std::strerror(errno));
  options_ = options;
  was_started_ = true;
  is_first_event_ = true;
  recorded_steps_ = 0;
  begin_ = steady_seconds();
  std::fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n", file_.get());
  name_rows();
  is_open_ = true;
  return {};
}

void Profiler::name_rows() {
  write(metadata("process_name", 0, {{"name", "musaic"}}));
  for (const auto& [row, name] : kRows) {
    write(metadata("thread_name", static_cast<int>(row), {{"name", name}}));
    write(metadata("thread_sort_index", static_cast<int>(row), {{"sort_index", static_cast<int>(row)}}));
  }
}

void Profiler::write(const Json& event) {
  const std::string text = (is_first_event_ ? "" : ",\n") + event.dump();
  is_first_event_ = false;
  std::fwrite(text.data(), 1, text.size(), file_.get());
}

void Profiler::complete() {
  is_open_ = false;
  is_recording_ = false;
  if (file_ == nullptr) return;
  std::fputs("\n]}\n", file_.get());
  file_.reset();
}

Result<std::string> Profiler::stop() {
  const std::lock_guard lock(mutex_);
  if (!was_started_) return invalid_argument("no profile was started");
  was_started_ = false;
  complete();
  return options_.path;
}

bool Profiler::begin_step() {
  const uint64_t step = num_steps_.fetch_add(1, std::memory_order_relaxed);
  if (!is_open_.load(std::memory_order_relaxed)) return false;
  const std::lock_guard lock(mutex_);
  if (file_ != nullptr && step >= options_.start_step) is_recording_ = true;
  return is_recording_;
}

void Profiler::end_step() {
  const std::lock_guard lock(mutex_);
  if (!is_recording_ || ++recorded_steps_ != options_.num_steps) return;
  complete();
}

void Profiler::add(const TraceSpan& span) {
  const std::lock_guard lock(mutex_);
  if (!is_recording_ || span.begin < begin_) return;
  Json event = {{"name", span.name},
                {"ph", "X"},
                {"pid", kProcess},
                {"tid", static_cast<int>(span.row)},
                {"ts", microseconds(span.begin - begin_)},
                {"dur", microseconds(span.end - begin_) - microseconds(span.begin - begin_)}};
  if (!span.arguments.empty()) event["args"] = span.arguments;
  write(event);
}

}  // namespace musaic
