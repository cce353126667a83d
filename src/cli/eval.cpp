#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <thread>

#include "base/log.h"
#include "base/status.h"
#include "cli/command_line.h"
#include "cli/divergence.h"
#include "cli/model_flags.h"
#include "cli/model_session.h"
#include "cli/progress.h"
#include "cli/step_batches.h"
#include "cli/step_logits.h"
#include "cli/token_texts.h"
#include "cli/verbs.h"

namespace musaic {
namespace {

constexpr int kMostTokens = 1 << 30;  // of a flag

using Clock = std::chrono::steady_clock;

struct EvalFlags {
  std::string what;
  std::string data_path;
  std::string recorded_path;
  int tokens = 16384;
  int context = 1024;
  int chunk = 256;
  bool json = false;
};

// The largest differences from recorded log-probabilities.
struct RecordedError {
  double reference = 0.0;
  double tested = 0.0;
  int64_t positions = 0;
};

struct EvalResult {
  std::vector<RowDivergence> rows;
  RecordedError recorded;
  double seconds = 0.0;
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Two runs of one model, step by step over the same tokens.
class Comparison {
 public:
  Comparison(ModelSession& reference, ModelSession& tested, const EvalFlags& flags, int num_threads)
      : reference_(reference), tested_(tested), flags_(flags), num_threads_(num_threads) {
    const size_t values =
        static_cast<size_t>(flags.chunk) * static_cast<size_t>(tested.runner().limits().vocab_size);
    reference_logits_.resize(values);
    tested_logits_.resize(values);
  }

  EvalResult run(std::span<const TokenText> texts) {
    const auto start = Clock::now();
    size_t total = 0;
    for (const TokenText& text : texts) total += text.ids.size();
    LoadBar bar("comparing", true);
    auto last_line = start;
    for (const TokenText& text : texts) {
      for (size_t begin = 0; begin < text.ids.size(); begin += static_cast<size_t>(flags_.chunk)) {
        run_chunk(text, begin);
        bar.show(result_.rows.size(), total);
        if (seconds_since(last_line) < kSecondsBetweenLines) continue;
        last_line = Clock::now();
        spdlog::info("eval kld: {} of {} tokens, mean KLD so far {:.5f}", result_.rows.size(), total,
                     summarize(result_.rows).mean_kld);
      }
    }
    bar.finish();
    result_.seconds = seconds_since(start);
    return std::move(result_);
  }

 private:
  static constexpr double kSecondsBetweenLines = 10.0;

  void run_chunk(const TokenText& text, size_t begin) {
    const size_t end = std::min(text.ids.size(), begin + static_cast<size_t>(flags_.chunk));
    std::vector<TokenId> following(
        text.ids.begin() + static_cast<std::ptrdiff_t>(begin) + 1,
        text.ids.begin() + static_cast<std::ptrdiff_t>(std::min(end + 1, text.ids.size())));
    std::vector<TokenId> asked = following;
    asked.resize(end - begin, 0);  // every row's logits are wanted, also the last one's
    following.resize(end - begin, -1);
    const auto step = [&](ModelSession& session, std::vector<float>& logits) {
      const int page_size = session.runner().limits().page_size;
      run_for_logits(session,
                     prompt_step(std::span(text.ids).subspan(begin, end - begin), static_cast<int>(begin),
                                 asked, page_run(0, pages_for(static_cast<int>(end), page_size))),
                     logits);
    };
    step(reference_, reference_logits_);
    step(tested_, tested_logits_);
    const auto rows = compare_row_blocks(reference_logits_.data(), tested_logits_.data(),
                                         tested_.runner().limits().vocab_size, following, num_threads_);
    for (size_t i = 0; i < rows.size(); ++i) compare_with_recorded(text, begin + i, rows[i]);
    result_.rows.insert(result_.rows.end(), rows.begin(), rows.end());
  }

  void compare_with_recorded(const TokenText& text, size_t position, const RowDivergence& row) {
    if (position >= text.token_logprobs.size()) return;
    const double recorded = text.token_logprobs[position];
    RecordedError& error = result_.recorded;
    error.reference = std::max(error.reference, std::abs(row.reference_target_logprob - recorded));
    error.tested = std::max(error.tested, std::abs(row.target_logprob - recorded));
    ++error.positions;
  }

  ModelSession& reference_;
  ModelSession& tested_;
  const EvalFlags& flags_;
  int num_threads_;
  std::vector<float> reference_logits_;  // [chunk, vocab]
  std::vector<float> tested_logits_;     // [chunk, vocab]
  EvalResult result_;
};

Json to_json(const EvalResult& result, const EvalFlags& flags, const ModelSession& tested) {
  const DivergenceSummary summary = summarize(result.rows);
  Json json = {{"model", tested.files().path.string()},
               {"dtype", tested.dtype()},
               {"reference_dtype", "float32"},
               {"chunk", flags.chunk},
               {"positions", summary.positions},
               {"mean_kld", summary.mean_kld},
               {"median_kld", summary.median_kld},
               {"p99_kld", summary.p99_kld},
               {"max_kld", summary.max_kld},
               {"same_top_share", summary.same_top_share},
               {"perplexity", summary.perplexity},
               {"reference_perplexity", summary.reference_perplexity},
               {"seconds", result.seconds}};
  if (result.recorded.positions > 0) {
    json["recorded"] = {{"positions", result.recorded.positions},
                        {"max_logprob_error", result.recorded.tested},
                        {"reference_max_logprob_error", result.recorded.reference}};
  }
  return json;
}

void print_text(const EvalResult& result, const ModelSession& tested) {
  const DivergenceSummary summary = summarize(result.rows);
  fmt::print("positions             {}\n", summary.positions);
  fmt::print("mean KLD              {:.6f}  (of --dtype float32 from --dtype {})\n", summary.mean_kld,
             tested.dtype());
  fmt::print("median, p99, max KLD  {:.6f}  {:.6f}  {:.6f}\n", summary.median_kld, summary.p99_kld,
             summary.max_kld);
  fmt::print("same top token        {:.2f} %\n", 100.0 * summary.same_top_share);
  fmt::print("perplexity            {:.4f}  (float32 {:.4f})\n", summary.perplexity,
             summary.reference_perplexity);
  if (result.recorded.positions > 0) {
    fmt::print("largest difference from the recorded log-probabilities: {:.5f}  (float32 {:.5f})\n",
               result.recorded.tested, result.recorded.reference);
  }
  fmt::print("seconds               {:.1f}\n", result.seconds);
}

// One sequence at a time, in chunks.
SessionOptions sized(SessionOptions options, const EvalFlags& flags) {
  options.max_running_requests = 1;
  options.chunked_prefill_size = flags.chunk;
  if (options.max_total_tokens < 0) options.max_total_tokens = flags.context;
  return options;
}

int longest(std::span<const TokenText> texts) {
  size_t size = 0;
  for (const TokenText& text : texts) size = std::max(size, text.ids.size());
  return static_cast<int>(size);
}

void check_vocabulary(std::span<const TokenText> texts, int vocab_size) {
  for (const TokenText& text : texts) {
    const TokenId largest = *std::max_element(text.ids.begin(), text.ids.end());
    if (largest >= vocab_size) {
      fail_load("{}: has the id {}, the vocabulary {} tokens", text.name, largest, vocab_size);
    }
  }
}

int evaluate(const Platform& platform, const SessionOptions& options, EvalFlags flags) {
  std::vector<TokenText> texts;
  if (!flags.recorded_path.empty()) {
    texts = read_recorded_texts(flags.recorded_path);
    flags.context = longest(texts);
  }
  SessionOptions exact = sized(options, flags);
  exact.dtype = "float32";
  exact.kv_cache_dtype = "auto";
  exact.disabled_passes.clear();
  exact.skip_tokenizer = !texts.empty();
  ModelSession reference(platform, exact);
  reference.load();
  if (texts.empty())
    texts = read_question_texts(flags.data_path, *reference.tokenizer(), flags.tokens, flags.context);
  check_vocabulary(texts, reference.config().vocab_size);
  if (longest(texts) > reference.max_total_tokens() || longest(texts) > reference.context_length()) {
    fail_load("sequences of {} tokens: the context is {}, the KV cache {}", longest(texts),
              reference.context_length(), reference.max_total_tokens());
  }
  SessionOptions rounded = sized(options, flags);
  rounded.skip_tokenizer = true;
  ModelSession tested(platform, rounded);
  tested.load();

  const int threads = options.backend.num_threads > 0 ? options.backend.num_threads
                                                      : static_cast<int>(std::thread::hardware_concurrency());
  const EvalResult result = Comparison(reference, tested, flags, threads).run(texts);
  if (flags.json) {
    fmt::print("{}\n", to_json(result, flags, tested).dump(2));
  } else {
    print_text(result, tested);
  }
  return kExitOk;
}

}  // namespace

int run_eval(Platform& platform, int argc, char** argv) {
  SessionOptions options;
  EvalFlags flags;
  CLI::App app("Measures how a run of a model differs from its exact float32 run.", "eval");
  app.add_option("what", flags.what, "kld: divergence of the distributions, token by token")
      ->required()
      ->check(CLI::IsMember({"kld"}));
  app.add_option("--data-path", flags.data_path, "a JSONL file with question and answer");
  app.add_option("--recorded", flags.recorded_path, "a JSON list of sequences with ids and token_logprobs");
  app.add_option("--tokens", flags.tokens, "how many, of --data-path")->check(CLI::Range(1, kMostTokens));
  app.add_option("--context", flags.context, "tokens a sequence")->check(CLI::Range(1, kMostTokens));
  app.add_option("--chunk", flags.chunk, "tokens a step")->check(CLI::Range(1, kMostTokens));
  app.add_flag("--json", flags.json);
  add_model_flags(app, options);
  if (const auto exit_code = parse_command_line(app, platform, argc, argv)) return *exit_code;
  if (flags.data_path.empty() == flags.recorded_path.empty()) {
    std::fputs("musaic eval: expected either --data-path or --recorded\n", stderr);
    return kExitUsage;
  }
  flags.chunk = std::min(flags.chunk, flags.context);
  return evaluate(platform, options, flags);
}

}  // namespace musaic
