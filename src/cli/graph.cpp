#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>

#include "cli/command_line.h"
#include "cli/verbs.h"
#include "models/model.h"
#include "program/split.h"
#include "runner/model_graphs.h"
#include "weights/model_files.h"

#include "cli/model_session.h"

namespace musaic {
namespace {

struct GraphVerbFlags {
  std::string model;
  std::string kind = "extend";
  std::string after;
  std::string device = "auto";
  std::string cpu_isa;
  std::string dtype = "auto";
  std::vector<std::string> disabled_passes;
  bool segments = false;
  bool passes = false;
};

const ModelGraph& select(const ModelGraphs& graphs, const std::string& kind) {
  if (kind == "decode") return graphs.decode;
  if (kind == "head") return graphs.head;
  if (kind == "logprobs") return graphs.logprobs;
  return graphs.extend;
}

void print_passes(const ModelGraph& graph) {
  fmt::print("trace                {:8.3f} ms\n", graph.trace_milliseconds);
  for (const PassReport& report : graph.passes) {
    fmt::print("{:20} {:8.3f} ms  {}\n", report.name, report.milliseconds,
               report.enabled ? fmt::format("{} rewrites", report.rewrites) : "disabled");
    for (const std::string& note : report.notes) fmt::print("  {}\n", note);
  }
}

void print_segments(const Graph& graph, const OpRegistry& registry) {
  for (const Segment& segment : split(graph, registry, /*whole=*/false)) {
    fmt::print("{:5} nodes {}..{}:", segment.is_break ? "break" : "piece", segment.begin, segment.end - 1);
    for (int i = segment.begin; i < segment.end; ++i) fmt::print(" {}", graph.nodes[i].op);
    fmt::print("\n");
  }
}

}  // namespace

int run_graph(Platform& platform, int argc, char** argv) {
  GraphVerbFlags flags;
  CLI::App app("Prints the graph of a model, as traced or after a pass.", "graph");
  app.add_option("model", flags.model, "a GGUF file, a Hugging Face folder or a bare config.json");
  app.add_option("--kind", flags.kind)->check(CLI::IsMember({"extend", "decode", "head", "logprobs"}));
  app.add_option("--after", flags.after, "stop after this stage: trace, or the name of a pass");
  app.add_option("--device", flags.device);
  app.add_option("--cpu-isa", flags.cpu_isa);
  app.add_option("--dtype", flags.dtype)->check(CLI::IsMember({"auto", "float32"}));
  app.add_option("--disable-pass", flags.disabled_passes);
  app.add_flag("--segments", flags.segments, "list pieces and breaks instead");
  app.add_flag("--passes", flags.passes, "list what each pass did instead");
  if (const auto exit_code = parse_command_line(app, platform, argc, argv)) return *exit_code;

  const ModelFiles files = open_model(flags.model.empty() ? default_model_path() : flags.model);
  const auto backend = platform.make_backend({.device = flags.device, .cpu_isa = flags.cpu_isa});
  const Target target{platform.registry, backend->device(), backend->capabilities()};
  const auto model = make_model(files.config, files.weights.get(), {});
  const GraphOptions options{.quantize_activations = flags.dtype != "float32",
                             .disabled_passes = flags.disabled_passes};
  const ModelGraphs graphs = trace_model_graphs(*model, target, options, flags.after);
  const ModelGraph& graph = select(graphs, flags.kind);
  if (flags.passes) print_passes(graph);
  if (flags.segments) print_segments(graph.graph, platform.registry);
  if (!flags.passes && !flags.segments) std::fputs(print(graph.graph).c_str(), stdout);
  return kExitOk;
}

}  // namespace musaic
