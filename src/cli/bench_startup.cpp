#include <chrono>

#include "cli/bench.h"
#include "cli/median.h"
#include "cli/timed_steps.h"

namespace musaic {
namespace {

using Clock = std::chrono::steady_clock;

// The stages of one start in milliseconds, in order.
class Stages {
 public:
  void add(const char* name, double milliseconds) { rows_.emplace_back(name, milliseconds); }
  // Since the last call, or since the beginning.
  void lap(const char* name) {
    const auto now = Clock::now();
    add(name, std::chrono::duration<double, std::milli>(now - last_).count());
    last_ = now;
  }
  const std::vector<std::pair<std::string, double>>& rows() const { return rows_; }

 private:
  Clock::time_point last_ = Clock::now();
  std::vector<std::pair<std::string, double>> rows_;
};

double pass_milliseconds(const ModelGraph& graph) {
  double sum = 0.0;
  for (const PassReport& report : graph.passes) sum += report.milliseconds + report.verify_milliseconds;
  return sum;
}

// What the graphs cost, of all programs and of the extend program alone.
void add_graph_stages(const GraphRunner& runner, Stages& stages) {
  const ModelGraphs& graphs = runner.graphs();
  double trace = 0.0;
  double passes = 0.0;
  for (const ModelGraph* graph : {&graphs.extend, &graphs.decode, &graphs.head, &graphs.logprobs}) {
    trace += graph->trace_milliseconds;
    passes += pass_milliseconds(*graph);
  }
  const double plan = (runner.extend().plan_seconds() + runner.decode().plan_seconds()) * 1e3;
  stages.add("  of it trace", trace);
  stages.add("  of it passes", passes);
  stages.add("  of it split, plan", plan);
  const double extend = graphs.extend.trace_milliseconds + pass_milliseconds(graphs.extend) +
                        runner.extend().plan_seconds() * 1e3;
  stages.add("  of it all of prefill", extend);
}

Stages start_once(const Platform& platform, SessionOptions options) {
  options.show_progress = false;
  const auto begin = Clock::now();
  Stages stages;
  ModelSession session(platform, options);
  stages.lap("open, trace, passes, plan");
  add_graph_stages(session.runner(), stages);
  session.load();
  stages.lap("load weights and tokenizer");
  constexpr int kPromptTokens = 16;
  TimedSteps(session.runner(), 1, kPromptTokens).prefill(0, kPromptTokens);
  stages.lap("first token");
  stages.add("start to first token", std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
  session.capture_all();
  stages.lap("capture of all buckets");
  return stages;
}

}  // namespace

Json bench_startup(const Platform& platform, const SessionOptions& options, const BenchFlags& flags) {
  start_once(platform, options);  // warms the file cache
  std::vector<Stages> starts;
  for (int repetition = 0; repetition < flags.repetitions; ++repetition)
    starts.push_back(start_once(platform, options));
  Json rows = Json::array();
  for (size_t i = 0; i < starts[0].rows().size(); ++i) {
    std::vector<double> milliseconds;
    for (const Stages& stages : starts) milliseconds.push_back(stages.rows()[i].second);
    rows.push_back({{"stage", starts[0].rows()[i].first}, {"ms", median(milliseconds)}});
  }
  return rows;
}

}  // namespace musaic
