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

// The highest instruction set that the backend's kernels may use.
std::string instruction_set(const Platform& platform, const Capabilities& capabilities) {
  std::string highest = "none";
  for (const std::string& name : platform.instruction_sets) {
    if (capabilities.has(name)) highest = name;
  }
  return highest;
}

BenchMachine describe_machine(const Platform& platform, ModelSession& session, bool with_limits) {
  const Capabilities& capabilities = session.backend().capabilities();
  const int asked = session.options().backend.num_threads;
  BenchMachine machine{
      .instruction_set = instruction_set(platform, capabilities),
      .num_threads = asked > 0 ? asked : static_cast<int>(std::thread::hardware_concurrency()),
      .limits = std::nullopt};
  if (with_limits)
    machine.limits = measure_machine_limits(capabilities, {.num_threads = machine.num_threads});
  return machine;
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

int bench(const Platform& platform, const SessionOptions& options, const BenchFlags& flags) {
  BenchReport report{.bench = flags.what, .repetitions = flags.repetitions};
  if (flags.what == "startup") report.rows = bench_startup(platform, options, flags);
  ModelSession session(platform, sized(options, flags));
  const bool has_share = flags.what == "prefill" || flags.what == "decode" || flags.what == "ops";
  const BenchMachine machine = describe_machine(platform, session, flags.limits && has_share);
  if (flags.what != "startup") {
    session.load();
    report.rows = measure(session, flags, machine.limits);
  }
  if (flags.json) {
    fmt::print("{}\n", to_json(report, machine, session).dump(2));
  } else {
    fmt::print("{}", to_text(report, machine, session));
  }
  return kExitOk;
}

}  // namespace

int run_bench(const Platform& platform, int argc, char** argv) {
  SessionOptions options;
  BenchFlags flags;
  CLI::App app("Measures speed: medians, beside what this machine could do at most.", "bench");
  app.add_option("what", flags.what,
                 "prefill, decode, serve (in-process clients), startup, or ops (each kernel of a step)")
      ->required()
      ->check(CLI::IsMember({"prefill", "decode", "serve", "startup", "ops"}));
  app.add_option("--repetitions", flags.repetitions)->check(CLI::Range(1, 1000));
  app.add_option("--tokens", flags.tokens, "prefill, ops: tokens of the prompt")->check(CLI::PositiveNumber);
  app.add_option("--batch", flags.batch, "decode, ops: sequences")->check(CLI::PositiveNumber);
  app.add_option("--context", flags.context, "decode, ops: tokens behind each sequence")
      ->check(CLI::PositiveNumber);
  app.add_option("--steps", flags.steps, "decode: steps a repetition")->check(CLI::PositiveNumber);
  app.add_option("--clients", flags.clients, "serve")->check(CLI::PositiveNumber);
  app.add_option("--requests", flags.requests, "serve: a repetition")->check(CLI::PositiveNumber);
  app.add_option("--input-tokens", flags.input_tokens, "serve")->check(CLI::PositiveNumber);
  app.add_option("--output-tokens", flags.output_tokens, "serve")->check(CLI::PositiveNumber);
  app.add_flag("!--no-limits", flags.limits, "do not measure the machine");
  app.add_flag("--json", flags.json);
  add_model_flags(app, options);
  if (const auto exit_code = parse_command_line(app, argc, argv)) return *exit_code;
  if (flags.what == "ops" && app.get_option("--batch")->empty()) flags.batch = {16};
  return bench(platform, options, flags);
}

}  // namespace musaic
