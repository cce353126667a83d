#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/status.h"
#include "cli/command_line.h"
#include "cli/graph_output.h"
#include "cli/model_session.h"
#include "cli/moe_runner.h"
#include "cli/verbs.h"
#include "ir/rename_device.h"
#include "models/model.h"
#include "program/split.h"
#include "program/structure.h"
#include "runner/model_graphs.h"
#include "weights/model_files.h"

namespace musaic {
namespace {

struct GraphVerbFlags {
  std::string model;
  std::string kind;
  std::string after;
  std::string device = "auto";
  std::string cpu_isa;
  std::string dtype = "auto";
  std::vector<std::string> disabled_passes;
  std::string moe_runner_backend = "auto";
  bool segments = false;
  bool passes = false;
  std::string device_name;
  std::string export_form;
  std::string export_weights;
  std::string output;
  int piece = -1;
};

void print_passes(const ModelGraph& graph) {
  fmt::print("trace                {:8.3f} ms\n", graph.trace_milliseconds);
  for (const PassReport& report : graph.passes) {
    fmt::print("{:20} {:8.3f} ms  {}\n", report.name, report.milliseconds + report.verify_milliseconds,
               report.enabled ? fmt::format("{} rewrites", report.rewrites) : "disabled");
    for (const PassNote& note : report.done) fmt::print("  {}\n", to_string(note));
    for (const PassNote& note : report.left) fmt::print("  left: {}\n", to_string(note));
  }
}

void print_segments(const Graph& graph, const OpRegistry& registry) {
  const std::vector<Segment> segments = split(graph, registry, /*whole=*/false);
  const StructureClasses classes = structure_classes(graph, segments);
  for (size_t number = 0; number < segments.size(); ++number) {
    const Segment& segment = segments[number];
    fmt::print("{:3} {:5} nodes {}..{}, structure {}:", number, segment.is_break ? "break" : "piece",
               segment.begin, segment.end - 1, classes.class_of[number]);
    for (int i = segment.begin; i < segment.end; ++i) fmt::print(" {}", graph.nodes[i].op);
    fmt::print("\n");
  }
}

std::string device_problem(const std::string& name) {
  if (parse_device(name)) return "";
  return "expected a device such as cpu, musa:0 or torch.device('musa:0'), got " + name;
}

void add_flags(CLI::App& app, GraphVerbFlags& flags) {
  app.add_option("model", flags.model,
                 "a GGUF file, a Hugging Face folder, a bare config.json, or a graph's text (*.txt)");
  app.add_option("--kind", flags.kind, "default: extend; exported: extend and head")
      ->check(CLI::IsMember({"extend", "decode", "head", "logprobs"}));
  app.add_option("--after", flags.after, "stop after this stage: trace, or the name of a pass");
  app.add_option("--device", flags.device);
  app.add_option("--device-name", flags.device_name,
                 "write the graph as one of this device, any name will do")
      ->check(CLI::Validator(device_problem, "DEVICE"));
  app.add_option("--cpu-isa", flags.cpu_isa);
  app.add_option("--dtype", flags.dtype)->check(CLI::IsMember({"auto", "float32"}));
  app.add_option("--disable-pass", flags.disabled_passes);
  add_moe_runner_flag(app, flags.moe_runner_backend);
  app.add_flag("--segments", flags.segments,
               "list pieces and breaks instead; equal structures have one number");
  app.add_flag("--passes", flags.passes, "list instead what each pass did, and what it left alone and why");
  app.add_option("--export", flags.export_form, "write a PyTorch module instead")
      ->check(CLI::IsMember({"torch"}));
  app.add_option("--piece", flags.piece, "of an export: only this piece or break, numbered as in --segments")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--export-weights", flags.export_weights,
                 "write the weights as float32 into this safetensors file, for an exported module");
  app.add_option("--output", flags.output, "a file instead of standard output");
}

// A graph that was written down: verified and shown.
int run_text(const Platform& platform, const GraphVerbFlags& flags) {
  Graph graph = read_graph_file(flags.model, platform.registry);
  if (!flags.device_name.empty()) graph = rename_device(std::move(graph), *parse_device(flags.device_name));
  if (flags.segments) {
    print_segments(graph, platform.registry);
  } else if (!flags.export_form.empty()) {
    write_text(flags.output, export_to_torch(graph, flags.piece, flags.model, platform.registry));
  } else {
    write_text(flags.output, print(graph));
  }
  return kExitOk;
}

void rename_devices(ModelGraphs& graphs, const std::string& name) {
  if (name.empty()) return;
  for (ModelGraph* graph : {&graphs.extend, &graphs.decode, &graphs.head, &graphs.logprobs})
    graph->graph = rename_device(std::move(graph->graph), *parse_device(name));
}

ModelGraphs trace_graphs(const Platform& platform, const GraphVerbFlags& flags, const ModelFiles& files) {
  const auto backend = platform.make_backend({.device = flags.device, .cpu_isa = flags.cpu_isa});
  const Target target{platform.registry, backend->device(), backend->capabilities()};
  const bool exact = flags.dtype == "float32";
  const auto model = make_model(files.config, files.weights.get(),
                                {.kv_dtype = exact ? DType::kF32 : DType::kF16,
                                 .deepgemm_layouts = uses_deepgemm_layouts(flags.moe_runner_backend)});
  const GraphOptions options{.quantize_activations = !exact, .disabled_passes = flags.disabled_passes};
  ModelGraphs graphs = trace_model_graphs(*model, target, options, flags.after);
  rename_devices(graphs, flags.device_name);
  return graphs;
}

int run_model(const Platform& platform, const GraphVerbFlags& flags) {
  const ModelFiles files = open_model(flags.model.empty() ? default_model_path() : flags.model);
  const ModelGraphs graphs = trace_graphs(platform, flags, files);
  const ModelGraph& graph = choose_graph(graphs, flags.kind);
  if (!flags.export_weights.empty()) export_weights(graphs, require_weights(files), flags.export_weights);
  if (!flags.export_form.empty()) {
    const GraphChoice choice{.kind = flags.kind, .piece = flags.piece};
    write_text(flags.output,
               export_to_torch(graphs, choice, files.path.filename().string(), platform.registry));
    return kExitOk;
  }
  if (flags.passes) print_passes(graph);
  if (flags.segments) print_segments(graph.graph, platform.registry);
  const bool only_weights = !flags.export_weights.empty() && flags.output.empty();
  if (!flags.passes && !flags.segments && !only_weights) write_text(flags.output, print(graph.graph));
  return kExitOk;
}

}  // namespace

int run_graph(Platform& platform, int argc, char** argv) {
  GraphVerbFlags flags;
  CLI::App app("Prints the graph of a model, as traced or after a pass.", "graph");
  add_flags(app, flags);
  if (const auto exit_code = parse_command_line(app, platform, argc, argv)) return *exit_code;
  const bool is_text = flags.model.ends_with(".txt");
  if (is_text &&
      !(flags.kind.empty() && flags.after.empty() && !flags.passes && flags.export_weights.empty()))
    fail_load("{}: a graph's text goes with --segments, --export, --piece, --device-name and --output only",
              flags.model);
  return is_text ? run_text(platform, flags) : run_model(platform, flags);
}

}  // namespace musaic
