#include "engine/step_report.h"

#include <chrono>
#include <string>

#include "base/log.h"

namespace musaic {
namespace {

double token_usage(const SchedulerCounts& counts) {
  return static_cast<double>(counts.used_tokens) / static_cast<double>(counts.token_capacity);
}

std::string mode_of(int replayed, int steps) {
  if (replayed == steps) return "replayed";
  if (replayed == 0) return "eager";
  return fmt::format("{} of {} steps replayed", replayed, steps);
}

}  // namespace

StepReport::StepReport(double interval_s) : interval_s_(interval_s) {}

void StepReport::add(const StepContents& contents, const StepRecord& record, const SchedulerCounts& counts,
                     Clock::time_point now) {
  if (!is_open_) {
    is_open_ = true;
    window_start_ =
        now - std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(record.seconds));
  }
  ++steps_;
  if (record.replayed) ++replayed_steps_;
  if (contents.new_requests > 0) {
    spdlog::info(
        "Prefill batch, #new-seq: {}, #new-token: {}, #cached-token: {}, token usage: {:.2f}, "
        "#running-req: {}, #queue-req: {}, {}",
        contents.new_requests, contents.prompt_tokens, contents.cached_tokens, token_usage(counts),
        counts.running_requests, counts.waiting_requests, describe(record));
  }
  if (std::chrono::duration<double>(now - window_start_).count() < interval_s_) return;
  const std::string mode = mode_of(replayed_steps_, steps_);
  close_window(counts, now);
  is_open_ = true;
  window_start_ = now;
  spdlog::info(
      "Decode batch, #running-req: {}, #token: {}, token usage: {:.2f}, gen throughput (token/s): {:.2f}, "
      "#queue-req: {}, {}",
      counts.running_requests, counts.used_tokens, token_usage(counts), generated_per_second_,
      counts.waiting_requests, mode);
}

void StepReport::pause(const SchedulerCounts& counts, Clock::time_point now) {
  if (is_open_) close_window(counts, now);
}

void StepReport::close_window(const SchedulerCounts& counts, Clock::time_point now) {
  const double seconds = std::chrono::duration<double>(now - window_start_).count();
  const uint64_t generated = counts.generated_tokens - at_start_.generated_tokens;
  if (seconds > 0.0) generated_per_second_ = static_cast<double>(generated) / seconds;
  const uint64_t prompt = counts.prompt_tokens - at_start_.prompt_tokens;
  const uint64_t cached = counts.cached_prompt_tokens - at_start_.cached_prompt_tokens;
  if (prompt > 0) cache_hit_rate_ = static_cast<double>(cached) / static_cast<double>(prompt);
  at_start_ = counts;
  is_open_ = false;
  steps_ = 0;
  replayed_steps_ = 0;
}

}  // namespace musaic
