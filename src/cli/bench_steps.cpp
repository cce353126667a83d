#include <algorithm>

#include "cli/bench.h"
#include "cli/median.h"
#include "cli/step_cost.h"
#include "cli/timed_steps.h"
#include "device/launch_ahead.h"

namespace musaic {
namespace {

constexpr int kReplays = 20;  // of which the median counts

Json measured_row(const char* size_name, int size, int tokens, double seconds) {
  return {{size_name, size}, {"ms", seconds * 1e3}, {"tok_per_s", tokens / seconds}};
}

void add_share(Json& row, const StepCost& cost, int tokens, double seconds,
               const std::optional<MachineLimits>& limits) {
  if (!limits) return;
  const double least = least_seconds(cost, *limits);
  row["limit_tok_per_s"] = tokens / least;
  row["share_of_limit"] = least / seconds;
}

double cache_bytes_per_token(ModelSession& session) {
  const GraphRunner& runner = session.runner();
  const auto tokens = static_cast<double>(runner.limits().num_pages) * runner.limits().page_size;
  return static_cast<double>(runner.memory().kv_bytes) / tokens;
}

// What the launches of such a step cost, which was the last to run; `seconds`: of the step.
void add_launches(Json& row, ModelSession& session, StepKind kind, int tokens, double seconds) {
  GraphRunner& runner = session.runner();
  const Program& program = kind == StepKind::kDecode ? runner.decode() : runner.extend();
  const StepChoice choice = runner.choose(kind, tokens);
  const int launches = program.num_launches(choice.bucket);
  row["pieces"] = program.num_pieces();
  row["launches"] = launches;
  row["us_a_launch"] = seconds * 1e6 / launches;
  row["host_us_a_piece"] = Json();
  if (!choice.replay || launch_ahead(session.backend()) == nullptr) return;
  std::vector<double> host;
  for (int i = 0; i < kReplays; ++i) host.push_back(runner.time_replay(kind, tokens));
  row["host_us_a_piece"] = median(host) * 1e6 / program.num_pieces();
}

// Seconds that step() takes as chosen and, if asked for, without a replay.
struct StepTimes {
  std::vector<double> chosen;
  std::vector<double> eager;

  template <class Step>
  void add(GraphRunner& runner, bool with_eager, Step step) {
    chosen.push_back(step());
    if (!with_eager) return;
    runner.force_eager(true);
    eager.push_back(step());
    runner.force_eager(false);
  }
  void write_eager(Json& row) const {
    if (!eager.empty()) row["eager_ms"] = 1e3 * median(eager);
  }
};

}  // namespace

Json bench_prefill(ModelSession& session, const BenchFlags& flags,
                   const std::optional<MachineLimits>& limits) {
  GraphRunner& runner = session.runner();
  TimedSteps steps(runner, 1, *std::max_element(flags.tokens.begin(), flags.tokens.end()));
  std::vector<StepTimes> times(flags.tokens.size());
  for (int tokens : flags.tokens) steps.prefill(0, tokens);  // captures
  for (int repetition = 0; repetition < flags.repetitions; ++repetition) {
    for (size_t i = 0; i < flags.tokens.size(); ++i)
      times[i].add(runner, flags.eager, [&] { return steps.prefill(0, flags.tokens[i]); });
  }
  Json rows = Json::array();
  for (size_t i = 0; i < flags.tokens.size(); ++i) {
    const int tokens = flags.tokens[i];
    StepCost cost = cost_of_products(runner.graphs().extend.graph, tokens);
    const int num_steps =
        (tokens + runner.limits().max_tokens_per_step - 1) / runner.limits().max_tokens_per_step;
    cost.bytes *= num_steps;
    cost += cost_of_products(runner.graphs().head.graph, 1);
    const double seconds = median(times[i].chosen);
    rows.push_back(measured_row("tokens", tokens, tokens, seconds));
    times[i].write_eager(rows.back());
    add_share(rows.back(), cost, tokens, seconds, limits);
    const int step_tokens = std::min(tokens, runner.limits().max_tokens_per_step);
    steps.prefill(0, step_tokens);
    add_launches(rows.back(), session, StepKind::kExtend, step_tokens, seconds / num_steps);
  }
  return rows;
}

Json bench_decode(ModelSession& session, const BenchFlags& flags,
                  const std::optional<MachineLimits>& limits) {
  GraphRunner& runner = session.runner();
  const int largest = *std::max_element(flags.batch.begin(), flags.batch.end());
  TimedSteps steps(runner, largest, flags.context + flags.steps);
  for (int index = 0; index < largest; ++index) steps.prefill(index, flags.context);
  for (int batch : flags.batch) steps.decode(batch, flags.context);  // captures
  std::vector<StepTimes> times(flags.batch.size());
  std::vector<std::vector<double>> overlapped(flags.batch.size());  // each step launched before the last ends
  for (int repetition = 0; repetition < flags.repetitions; ++repetition) {
    for (size_t i = 0; i < flags.batch.size(); ++i) {
      times[i].add(runner, flags.eager, [&] {
        double sum = 0.0;
        for (int step = 0; step < flags.steps; ++step)
          sum += steps.decode(flags.batch[i], flags.context + step);
        return sum / flags.steps;
      });
      if (session.overlaps())
        overlapped[i].push_back(steps.decode_overlapped(flags.batch[i], flags.context, flags.steps));
    }
  }
  Json rows = Json::array();
  for (size_t i = 0; i < flags.batch.size(); ++i) {
    const int batch = flags.batch[i];
    StepCost cost = cost_of_products(runner.graphs().decode.graph, batch);
    cost.bytes += cache_bytes_per_token(session) * batch * (flags.context + 0.5 * flags.steps);
    const double one_by_one = median(times[i].chosen);
    const double seconds = session.overlaps() ? median(overlapped[i]) : one_by_one;  // as the server's steps
    rows.push_back(measured_row("batch", batch, batch, seconds));
    if (session.overlaps()) rows.back()["one_by_one_ms"] = 1e3 * one_by_one;
    times[i].write_eager(rows.back());
    add_share(rows.back(), cost, batch, seconds, limits);
    steps.decode(batch, flags.context);
    add_launches(rows.back(), session, StepKind::kDecode, batch, seconds);
    const double experts = steps.experts_read(batch, flags.context);
    if (experts > 0) rows.back()["experts_a_layer"] = experts;
  }
  return rows;
}

}  // namespace musaic
