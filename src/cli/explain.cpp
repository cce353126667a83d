#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <thread>

#include "base/status.h"
#include "cli/command_line.h"
#include "cli/explain_model.h"
#include "cli/machine_limits.h"
#include "cli/model_session.h"
#include "cli/moe_runner.h"
#include "cli/verbs.h"
#include "program/explain/printers.h"

namespace musaic {
namespace {

struct ExplainFlags {
  std::string model;
  std::string roof;
  std::string format = "text";
  std::string output;
  ExplainRequest request;
};

void add_flags(CLI::App& app, ExplainFlags& flags) {
  ExplainRequest& request = flags.request;
  app.add_option("model", flags.model,
                 "a GGUF file, a Hugging Face folder or a bare config.json; no weights are read");
  app.add_option("--device", request.device, "cpu (default), another of this binary's, cuda:N or musa:N");
  app.add_option("--kind", request.kind, "extend (default), decode, head or logprobs")
      ->check(CLI::IsMember({"extend", "decode", "head", "logprobs"}));
  app.add_option("--bucket", request.bucket,
                 "tokens of extend (default: the largest), sequences of decode, rows of head (default: 1)")
      ->check(CLI::PositiveNumber);
  app.add_option("--past", request.past,
                 "positions of each sequence in the cache before the step; default: extend 0, decode 1024")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--mode", request.mode, "piecewise (default of extend), full (of the others) or breakable")
      ->check(CLI::IsMember({"piecewise", "full", "breakable"}));
  app.add_option("--roof", flags.roof,
                 "what time is predicted for: h200, mtt-s5000, ..., GB/s,GFLOP/s such as 38,300, or measure");
  app.add_option("--format", flags.format, "text (default), json or svg")
      ->check(CLI::IsMember({"text", "json", "svg"}));
  app.add_option("--output", flags.output, "a file instead of standard output");
  app.add_option("--dtype", request.dtype)->check(CLI::IsMember({"auto", "float32"}));
  app.add_option("--page-size", request.page_size)->check(CLI::PositiveNumber);
  app.add_option("--disable-pass", request.disabled_passes);
  add_moe_runner_flag(app, request.moe_runner_backend);
  app.add_option("--cpu-isa", request.cpu_isa);
  app.add_flag("--assume-kernels", request.assume_kernels, "as if the device had a kernel for every op");
}

// The limits of this machine's processor, measured now.
Roof measured_roof(const Platform& platform, const std::string& cpu_isa) {
  const auto backend = platform.make_backend({.device = "cpu", .num_threads = 1, .cpu_isa = cpu_isa});
  const int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const MachineLimits limits = measure_machine_limits(backend->capabilities(), {.num_threads = threads});
  return {.name = "this machine",
          .bytes_per_second = limits.read_bytes_per_second,
          .float_ops_per_second = limits.float_ops_per_second,
          .int8_ops_per_second = limits.best_int8_ops_per_second()};
}

Roof choose_roof(const Platform& platform, const ExplainFlags& flags) {
  if (flags.roof == "measure") return measured_roof(platform, flags.request.cpu_isa);
  if (!flags.roof.empty()) return parse_roof(flags.roof);
  const auto device = parse_device(flags.request.device);
  return parse_roof(usual_roof(device ? device->type : "cpu"));
}

void write_text(const std::string& path, const std::string& text) {
  if (path.empty()) {
    std::fputs(text.c_str(), stdout);
    return;
  }
  std::ofstream file(path, std::ios::binary);
  if (!(file << text).flush()) fail_load("--output {}: cannot be written", path);
}

}  // namespace

int run_explain(Platform& platform, int argc, char** argv) {
  ExplainFlags flags;
  CLI::App app("Explains a model's program: pieces, breaks, kernels, memory, and the time a machine needs.",
               "explain");
  add_flags(app, flags);
  if (const auto exit_code = parse_command_line(app, platform, argc, argv)) return *exit_code;

  flags.request.roof = choose_roof(platform, flags);
  const ModelFiles files = open_model(flags.model.empty() ? default_model_path() : flags.model);
  write_text(flags.output, format_explanation(explain_model(platform, files, flags.request), flags.format));
  return kExitOk;
}

}  // namespace musaic
