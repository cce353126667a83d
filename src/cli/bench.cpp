#include "cli/bench.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <thread>

#include "cli/command_line.h"
#include "cli/model_flags.h"
#include "cli/verbs.h"

namespace musaic {
namespace {

constexpr int kMostTokens = 1 << 20;  // of a flag: far above any context

// The highest instruction set that the backend's kernels may use.
std::string instruction_set(const Platform& platform, const Capabilities& capabilities) {
  std::string highest = "none";
  for (const std::string& name : platform.instruction_sets) {
    if (capabilities.has(name)) highest = name;
  }
  return highest;
}

BenchMachine describe_machine(const Platform& platform, ModelSession& session) {
  const int asked = session.options().backend.num_threads;
  return {.instruction_set = instruction_set(platform, session.backend().capabilities()),
          .num_threads = asked > 0 ? asked : static_cast<int>(std::thread::hardware_concurrency()),
          .limits = std::nullopt};
}

int largest(const std::vector<int>& values) {
  return *std::max_element(values.begin(), values.end());
}

// Room for what the bench runs, where the flags do not say otherwise.
SessionOptions sized(SessionOptions options, const BenchFlags& flags) {
  int sequences = 1;
  int tokens = largest(flags.tokens);
  if (flags.what == "decode" || flags.what == "ops") {
    sequences = largest(flags.batch);
    tokens = std::max(flags.context + flags.steps + 1, flags.what == "ops" ? tokens : 0);
  }
  if (flags.what == "serve") {
    sequences = flags.clients;
    tokens = flags.input_tokens + flags.output_tokens;
  }
  options.skip_tokenizer = true;
  if (flags.what == "serve" || flags.what == "startup") return options;
  constexpr int kSlack = 256;  // the last page of each sequence
  if (options.max_running_requests < 0) options.max_running_requests = sequences;
  if (options.max_total_tokens < 0) options.max_total_tokens = int64_t{sequences} * (tokens + kSlack);
  return options;
}

Json measure(ModelSession& session, const BenchFlags& flags, const std::optional<MachineLimits>& limits) {
  if (flags.what == "prefill") return bench_prefill(session, flags, limits);
  if (flags.what == "decode") return bench_decode(session, flags, limits);
  if (flags.what == "serve") return bench_serve(session, flags);
  return bench_ops(session, flags);
}

// One bench in a session of its own; `limits` are measured when first needed.
Json run_one(const Platform& platform, const SessionOptions& options, const BenchFlags& flags,
             std::optional<MachineLimits>& limits) {
  BenchReport report{.bench = flags.what, .repetitions = flags.repetitions};
  if (flags.what == "startup") report.rows = bench_startup(platform, options, flags);
  ModelSession session(platform, sized(options, flags));
  BenchMachine machine = describe_machine(platform, session);
  if (flags.limits && (flags.what == "prefill" || flags.what == "decode" || flags.what == "ops")) {
    if (!limits)
      limits = measure_machine_limits(session.backend().capabilities(), {.num_threads = machine.num_threads});
    machine.limits = limits;
  }
  if (flags.what != "startup") {
    session.load();
    report.rows = measure(session, flags, limits);
  }
  if (!flags.json) fmt::print("{}\n", to_text(report, machine, session));
  return to_json(report, machine, session);
}

int bench(const Platform& platform, const SessionOptions& options, BenchFlags flags) {
  std::vector<std::string> names = {flags.what};
  if (flags.what == "all") names = {"startup", "prefill", "decode"};
  std::optional<MachineLimits> limits;
  Json reports = Json::array();
  for (const std::string& name : names) {
    flags.what = name;
    reports.push_back(run_one(platform, options, flags, limits));
  }
  if (flags.json) fmt::print("{}\n", (reports.size() == 1 ? reports[0] : reports).dump(2));
  return kExitOk;
}

}  // namespace

int run_bench(Platform& platform, int argc, char** argv) {
  SessionOptions options;
  BenchFlags flags;
  CLI::App app("Measures speed: medians, beside what this machine could do at most.", "bench");
  app.add_option("what", flags.what,
                 "startup, prefill, decode, serve (in-process clients), ops (each kernel of a step), or all: "
                 "the first three")
      ->check(CLI::IsMember({"all", "startup", "prefill", "decode", "serve", "ops"}));
  app.add_option("--repetitions", flags.repetitions)->check(CLI::Range(1, 1000));
  app.add_option("--tokens", flags.tokens, "prefill, ops: tokens of the prompt")
      ->check(CLI::Range(1, kMostTokens));
  app.add_option("--batch", flags.batch, "decode, ops: sequences")->check(CLI::Range(1, kMostTokens));
  app.add_option("--context", flags.context, "decode, ops: tokens behind each sequence")
      ->check(CLI::Range(1, kMostTokens));
  app.add_option("--steps", flags.steps, "decode: steps a repetition")->check(CLI::Range(1, kMostTokens));
  app.add_option("--clients", flags.clients, "serve")->check(CLI::Range(1, kMostTokens));
  app.add_option("--requests", flags.requests, "serve: a repetition")->check(CLI::Range(1, kMostTokens));
  app.add_option("--input-tokens", flags.input_tokens, "serve")->check(CLI::Range(1, kMostTokens));
  app.add_option("--output-tokens", flags.output_tokens, "serve")->check(CLI::Range(1, kMostTokens));
  app.add_flag("--eager", flags.eager, "prefill, decode: the same steps without replays, too");
  app.add_flag("!--no-limits", flags.limits, "do not measure the machine");
  app.add_flag("--json", flags.json);
  add_model_flags(app, options);
  if (const auto exit_code = parse_command_line(app, platform, argc, argv)) return *exit_code;
  if (flags.what == "ops" && app.get_option("--batch")->empty()) flags.batch = {16};
  return bench(platform, options, flags);
}

}  // namespace musaic
