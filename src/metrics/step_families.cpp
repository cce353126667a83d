#include "metrics/step_families.h"

namespace musaic {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::map<std::string, std::string>;

ClientMetric series(const Labels& labels, MetricType type, double value) {
  ClientMetric metric;
  for (const auto& [name, text] : labels) metric.label.push_back({name, text});
  (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  return metric;
}

MetricFamily family(const char* name, const char* help, MetricType type) {
  MetricFamily out;
  out.name = name;
  out.help = help;
  out.type = type;
  return out;
}

class Families {
 public:
  explicit Families(const Labels& labels) : labels_(labels) {}

  void gauge(const char* name, const char* help, double value) { one(name, help, MetricType::Gauge, value); }
  void counter(const char* name, const char* help, double value) {
    one(name, help, MetricType::Counter, value);
  }
  void add(MetricFamily family) { list_.push_back(std::move(family)); }
  std::vector<MetricFamily> take() { return std::move(list_); }

 private:
  void one(const char* name, const char* help, MetricType type, double value) {
    list_.push_back(family(name, help, type));
    list_.back().metric.push_back(series(labels_, type, value));
  }

  const Labels& labels_;
  std::vector<MetricFamily> list_;
};

const char* phase_name(StepKind kind) {
  return kind == StepKind::kExtend ? "extend" : "decode";
}
const char* mode_name(bool replayed) {
  return replayed ? "replayed" : "eager";
}

void add_steps(const MetricsSnapshot& snapshot, const Labels& labels, Families& families) {
  MetricFamily steps =
      family("musaic:steps_total", "Steps by phase, mode, bucket and reason", MetricType::Counter);
  MetricFamily pads = family("musaic:pad_rows_total", "Rows that only filled a bucket", MetricType::Counter);
  MetricFamily seconds = family("musaic:step_seconds_total", "Time spent in steps", MetricType::Counter);
  for (const StepCount& one : snapshot.steps) {
    Labels own = labels;
    own["phase"] = phase_name(one.record.kind);
    own["mode"] = mode_name(one.record.replayed);
    own["bucket"] = std::to_string(one.record.bucket);
    own["reason"] = one.record.reason;
    steps.metric.push_back(series(own, MetricType::Counter, static_cast<double>(one.steps)));
    pads.metric.push_back(series(own, MetricType::Counter, static_cast<double>(one.pad_rows)));
    seconds.metric.push_back(series(own, MetricType::Counter, one.record.seconds));
  }
  families.add(std::move(steps));
  families.add(std::move(pads));
  families.add(std::move(seconds));
}

// SGLang's modes: which phase ran, and whether by a graph.
void add_graph_passes(const MetricsSnapshot& snapshot, const Labels& labels, Families& families) {
  std::map<std::string, double> passes = {
      {"decode_cuda_graph", 0}, {"decode_none", 0}, {"prefill_cuda_graph", 0}, {"prefill_none", 0}};
  double replayed = 0, all = 0;
  for (const StepCount& one : snapshot.steps) {
    const std::string phase = one.record.kind == StepKind::kExtend ? "prefill" : "decode";
    passes[phase + (one.record.replayed ? "_cuda_graph" : "_none")] += static_cast<double>(one.steps);
    all += static_cast<double>(one.steps);
    if (one.record.replayed) replayed += static_cast<double>(one.steps);
  }
  MetricFamily counts = family("sglang:cuda_graph_passes_total", "Steps by mode", MetricType::Counter);
  for (const auto& [mode, count] : passes) {
    Labels own = labels;
    own["mode"] = mode;
    counts.metric.push_back(series(own, MetricType::Counter, count));
  }
  families.add(std::move(counts));
  families.gauge("sglang:is_cuda_graph", "Share of the steps that were replayed",
                 all > 0 ? replayed / all : 0);
}

void add_buckets(const MetricsSnapshot& snapshot, const Labels& labels, Families& families) {
  MetricFamily buckets = family("musaic:graph_buckets", "Buckets of programs by state", MetricType::Gauge);
  for (const auto& [state, count] : snapshot.buckets) {
    Labels own = labels;
    own["state"] = state;
    buckets.metric.push_back(series(own, MetricType::Gauge, count));
  }
  families.add(std::move(buckets));
  families.counter("musaic:graph_verified_steps_total", "Replayed steps that were compared with an eager run",
                   static_cast<double>(snapshot.verified_steps));
  families.counter("musaic:graph_verify_differences_total", "Replays that differed from their eager run",
                   static_cast<double>(snapshot.verify_differences));
}

void add_executables(const MetricsSnapshot& snapshot, Families& families) {
  families.gauge("musaic:graph_executable_budget", "Live executables of graphs that are allowed; 0: all",
                 snapshot.graph_executable_budget);
  families.gauge("musaic:graph_executables", "Live executables of graphs", snapshot.graph_executables);
  families.counter("musaic:graph_rotations_total", "Replays that took the executable of another graph",
                   static_cast<double>(snapshot.graph_rotations));
  families.counter("musaic:graph_rotation_seconds_total", "Time that it took them",
                   snapshot.graph_rotation_seconds);
}

void add_device_calls(const DeviceCalls& calls, Families& families) {
  families.counter("musaic:device_allocations_total", "Allocations of device or page-locked memory",
                   static_cast<double>(calls.allocations));
  families.counter("musaic:graph_executables_made_total", "Executables of graphs that the driver made",
                   static_cast<double>(calls.executables));
  families.counter("musaic:device_waits_total", "Waits of the host for all that was enqueued",
                   static_cast<double>(calls.waits));
  families.counter("musaic:device_reads_total", "Results read while work behind them was enqueued",
                   static_cast<double>(calls.reads));
}

}  // namespace

std::vector<MetricFamily> snapshot_families(const MetricsSnapshot& snapshot, const Labels& labels) {
  Families families(labels);
  const double capacity = static_cast<double>(snapshot.token_capacity);
  const double used = static_cast<double>(snapshot.used_tokens);
  families.gauge("sglang:num_running_reqs", "Requests in the batch", snapshot.running_requests);
  families.gauge("sglang:num_queue_reqs", "Requests that wait", snapshot.waiting_requests);
  families.gauge("sglang:num_used_tokens", "KV tokens of live requests", used);
  families.gauge("sglang:max_total_num_tokens", "KV tokens there is room for", capacity);
  families.gauge("sglang:token_usage", "Share of the KV tokens in use", capacity > 0 ? used / capacity : 0);
  families.gauge("sglang:gen_throughput", "Generated tokens a second", snapshot.gen_throughput);
  families.gauge("sglang:cache_hit_rate", "Share of the prompt tokens found in the prefix cache",
                 snapshot.cache_hit_rate);
  families.counter("sglang:num_aborted_requests_total", "Requests aborted",
                   static_cast<double>(snapshot.aborted_requests));
  families.counter("sglang:num_retracted_requests_total", "Requests put back for want of memory",
                   static_cast<double>(snapshot.retracted_requests));
  families.gauge("musaic:capture_seconds", "Time spent in capturing programs", snapshot.capture_seconds);
  families.gauge("musaic:graph_bytes", "Memory of captured programs",
                 static_cast<double>(snapshot.graph_bytes));
  add_buckets(snapshot, labels, families);
  add_executables(snapshot, families);
  add_device_calls(snapshot.device_calls, families);
  add_graph_passes(snapshot, labels, families);
  add_steps(snapshot, labels, families);
  return families.take();
}

}  // namespace musaic
