#include "cli/sampling_flags.h"

#include <CLI/CLI.hpp>
#include <csignal>

namespace musaic {
namespace {

std::atomic<bool> interrupted{false};  // a signal handler can reach nothing else

}  // namespace

void add_sampling_flags(CLI::App& app, SamplingFlags& flags) {
  SamplingParams& sampling = flags.sampling;
  sampling.temperature = 0.0f;
  app.add_option("--max-new-tokens,-n", sampling.max_new_tokens)->check(CLI::NonNegativeNumber);
  app.add_option("--min-new-tokens", sampling.min_new_tokens)->check(CLI::NonNegativeNumber);
  app.add_option("--temperature,-t", sampling.temperature, "0: the most likely token")
      ->check(CLI::Range(0.0, 100.0));
  app.add_option("--top-p", sampling.top_p)->check(CLI::Range(0.0, 1.0));
  app.add_option("--top-k", sampling.top_k, "-1: off");
  app.add_option("--min-p", sampling.min_p)->check(CLI::Range(0.0, 1.0));
  app.add_option("--frequency-penalty", sampling.frequency_penalty)->check(CLI::Range(-2.0, 2.0));
  app.add_option("--presence-penalty", sampling.presence_penalty)->check(CLI::Range(-2.0, 2.0));
  app.add_option("--repetition-penalty", sampling.repetition_penalty)->check(CLI::Range(0.01, 2.0));
  app.add_option("--seed", sampling.seed);
  app.add_flag("--ignore-eos", sampling.ignore_eos);
  app.add_option("--stop", flags.text.stop, "the text ends before this");
  app.add_option("--stop-regex", flags.text.stop_regex);
}

const std::atomic<bool>& interrupt_flag() {
  std::signal(SIGINT, [](int) { interrupted = true; });
  return interrupted;
}

void clear_interrupt() {
  interrupted = false;
}

}  // namespace musaic
