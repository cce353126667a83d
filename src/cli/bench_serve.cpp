#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <random>
#include <thread>

#include "base/status.h"
#include "cli/bench.h"
#include "cli/median.h"

namespace musaic {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0.0;
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

// When the tokens of one request came.
struct Arrivals {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Clock::time_point> times;  // one an event with tokens
  int tokens = 0;
  bool finished = false;
  std::string error;

  void take(const OutputEvent& event) {
    const std::lock_guard lock(mutex);
    if (!event.tokens.empty()) times.push_back(Clock::now());
    tokens += static_cast<int>(event.tokens.size());
    if (!event.finish) return;
    finished = true;
    if (event.finish->kind == FinishKind::kAbort) error = event.finish->message;
    changed.notify_one();
  }
};

struct Load {
  std::mutex mutex;
  int next_request = 0;
  int tokens = 0;
  std::vector<double> first_token;  // seconds from the request to its first token
  std::vector<double> gaps;         // seconds between tokens
  std::string error;

  void add(Clock::time_point start, const Arrivals& arrivals) {
    const std::lock_guard lock(mutex);
    tokens += arrivals.tokens;
    if (!arrivals.error.empty()) error = arrivals.error;
    if (arrivals.times.empty()) return;
    first_token.push_back(seconds_between(start, arrivals.times.front()));
    for (size_t i = 1; i < arrivals.times.size(); ++i)
      gaps.push_back(seconds_between(arrivals.times[i - 1], arrivals.times[i]));
  }
  int take_request() {
    const std::lock_guard lock(mutex);
    return next_request++;
  }
};

Request make_request(const BenchFlags& flags, int vocab_size, uint32_t seed) {
  std::mt19937 random(seed);
  Request request;
  for (int i = 0; i < flags.input_tokens; ++i)
    request.input_ids.push_back(static_cast<TokenId>(random() % static_cast<uint32_t>(vocab_size)));
  request.sampling.max_new_tokens = flags.output_tokens;
  request.sampling.temperature = 0.0f;
  request.sampling.ignore_eos = true;
  return request;
}

// One client: sends its next request when the last one has ended.
void run_client(Engine& engine, const BenchFlags& flags, int vocab_size, uint32_t first_seed, Load& load) {
  for (int i = load.take_request(); i < flags.requests; i = load.take_request()) {
    const auto arrivals = std::make_shared<Arrivals>();  // the engine's sink may outlive this call
    const auto start = Clock::now();
    const auto ids = engine.submit({make_request(flags, vocab_size, first_seed + static_cast<uint32_t>(i))},
                                   [arrivals](OutputEvent&& event) { arrivals->take(event); });
    if (!ids.ok()) {
      const std::lock_guard lock(load.mutex);
      load.error = ids.status().message();
      return;
    }
    std::unique_lock lock(arrivals->mutex);
    arrivals->changed.wait(lock, [&] { return arrivals->finished; });
    load.add(start, *arrivals);
  }
}

struct LoadResult {
  double tokens_per_second;
  double first_token_p50;
  double first_token_p99;
  double gap_p50;
  double gap_p99;
};

LoadResult run_load(Engine& engine, const BenchFlags& flags, int vocab_size, uint32_t first_seed) {
  Load load;
  const auto start = Clock::now();
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < flags.clients; ++i)
      clients.emplace_back([&] { run_client(engine, flags, vocab_size, first_seed, load); });
  }
  const double seconds = seconds_between(start, Clock::now());
  if (!load.error.empty()) fail_load("bench serve: a request failed: {}", load.error);
  return {load.tokens / seconds, percentile(load.first_token, 0.5), percentile(load.first_token, 0.99),
          percentile(load.gaps, 0.5), percentile(load.gaps, 0.99)};
}

}  // namespace

Json bench_serve(ModelSession& session, const BenchFlags& flags) {
  session.capture_all();
  const auto engine = session.make_engine();
  engine->start();
  const int vocab_size = session.runner().limits().vocab_size;
  std::vector<LoadResult> results;
  for (int repetition = 0; repetition <= flags.repetitions; ++repetition) {
    // Other prompts each time, so that no prefix is found in the cache.
    results.push_back(
        run_load(*engine, flags, vocab_size, static_cast<uint32_t>(repetition * flags.requests)));
  }
  engine->stop();
  results.erase(results.begin());  // warm-up
  const auto middle = [&](double LoadResult::*field) {
    std::vector<double> values;
    for (const LoadResult& result : results) values.push_back(result.*field);
    return median(values);
  };
  return Json::array({{{"clients", flags.clients},
                       {"in", flags.input_tokens},
                       {"out", flags.output_tokens},
                       {"out_tok_per_s", middle(&LoadResult::tokens_per_second)},
                       {"ttft_p50_ms", 1e3 * middle(&LoadResult::first_token_p50)},
                       {"ttft_p99_ms", 1e3 * middle(&LoadResult::first_token_p99)},
                       {"itl_p50_ms", 1e3 * middle(&LoadResult::gap_p50)},
                       {"itl_p99_ms", 1e3 * middle(&LoadResult::gap_p99)}}});
}

}  // namespace musaic
