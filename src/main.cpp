// Wiring: the only source that names a backend.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string_view>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/cpu_host_threads.h"
#include "backends/cpu/cpu_isa.h"
#include "backends/simulated/simulated_backend.h"
#include "base/log.h"
#include "base/status.h"
#include "cli/nearest_name.h"
#include "cli/platform.h"
#include "cli/verbs.h"
#include "ops/kernels_cpu.h"
#include "ops/kernels_simulated.h"
#include "ops/linked_gpu.h"
#include "ops/op_list.h"
#include "version.h"

namespace musaic {
namespace {

struct Verb {
  const char* name;
  int (*run)(Platform& platform, int argc, char** argv);
  const char* what;
};

constexpr Verb kVerbs[] = {
    {"serve", run_serve, "serve a model over HTTP (SGLang's and OpenAI's APIs)"},
    {"launch_server", run_serve, "the same as serve"},
    {"generate", run_generate, "continue a prompt in the terminal"},
    {"chat", run_chat, "talk to a model in the terminal"},
    {"graph", run_graph, "print a model's graph, as traced or after a pass"},
    {"explain", run_explain,
     "explain a program: pieces, kernels, memory, time on a machine; as text or picture"},
    {"logits", run_logits, "write the logits of a prompt's tokens into a file"},
    {"ops", run_ops, "list operators, schemas and kernels"},
    {"opcheck", run_opcheck, "check operators: fakes, pad rows, captures, threads"},
    {"bench", run_bench, "measure speed beside the machine's limits"},
    {"eval", run_eval, "measure the difference from the exact run"},
};

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (CpuIsa isa : {CpuIsa::kAvx2, CpuIsa::kAvx512, CpuIsa::kAvx512Vnni, CpuIsa::kAvx512Bf16}) {
    if (isa <= detect_cpu_isa()) names.emplace_back(name(isa));
  }
  return names;
}

CpuBackendOptions cpu_options(const BackendRequest& request) {
  CpuBackendOptions options{.num_threads = request.num_threads, .isa = std::nullopt};
  if (!request.cpu_isa.empty()) {
    options.isa = parse_cpu_isa(request.cpu_isa);
    if (!options.isa) {
      fail_load("--cpu-isa {}: expected avx2, avx512, avx512_vnni or avx512_bf16", request.cpu_isa);
    }
  }
  return options;
}

std::unique_ptr<Backend> make_host_backend(const BackendRequest& request) {
  if (request.device == "simulated") return std::make_unique<SimulatedBackend>(cpu_options(request));
  return std::make_unique<CpuBackend>(cpu_options(request));
}

bool has_gpu(const LinkedGpu& gpu) {
  return !gpu.type.empty() && gpu.count() > 0;
}

// `auto` is the first GPU where there is one.
std::unique_ptr<Backend> make_backend(const std::vector<std::string>& backends, const LinkedGpu& gpu,
                                      const BackendRequest& request) {
  GpuOptions options{.executable_budget = request.graph_executable_budget,
                     .graph_memory_budget = request.graph_memory_budget};
  if (request.device == "auto" && has_gpu(gpu)) return gpu.make(options);
  const auto device = parse_device(request.device == "auto" ? "cpu" : request.device);
  if (!device || std::ranges::find(backends, device->type) == backends.end())
    fail_load("--device {}: this binary has no such backend; it has: {}", request.device,
              fmt::join(backends, ", "));
  options.index = std::max(device->index, 0);
  if (device->type == gpu.type) return gpu.make(options);
  return make_host_backend(request);
}

Platform make_platform() {
  const LinkedGpu gpu = linked_gpu();
  Platform platform;
  define_ops(platform.registry);
  add_cpu_kernels(platform.registry);
  add_simulated_kernels(platform.registry);
  platform.derive_kernels = add_simulated_kernels;
  platform.backends = {"cpu", "simulated"};
  if (!gpu.type.empty()) {
    gpu.add_kernels(platform.registry);
    platform.backends.push_back(gpu.type);
  }
  platform.has_device = [gpu](const std::string& backend) { return backend != gpu.type || has_gpu(gpu); };
  platform.memory_size = [gpu](const Device& device) {
    return device.type == gpu.type ? gpu.memory_size(device) : DeviceMemorySize{};
  };
  platform.instruction_sets = instruction_sets();
  platform.make_backend = [backends = platform.backends, gpu](const BackendRequest& request) {
    return make_backend(backends, gpu, request);
  };
  platform.host_threads = {{"cpu", cpu_host_threads()}};
  platform.version =
      fmt::format("musaic {} ({}), backends: {}, instruction sets here: {}", kVersion, kCommit,
                  fmt::join(platform.backends, " "), fmt::join(platform.instruction_sets, " "));
  return platform;
}

void print_help(std::FILE* out) {
  fmt::print(out, "usage: musaic VERB [flags]; musaic VERB --help lists them\n\n");
  for (const Verb& verb : kVerbs) fmt::print(out, "  {:14} {}\n", verb.name, verb.what);
  fmt::print(out, "\n  --version      commit, backends and instruction sets\n");
}

int run(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  if (name.empty() || name == "--help" || name == "-h" || name == "help") {
    print_help(name.empty() ? stderr : stdout);
    return name.empty() ? kExitUsage : kExitOk;
  }
  set_up_log("info");
  Platform platform = make_platform();
  if (name == "--version") {
    fmt::print("{}\n", platform.version);
    return kExitOk;
  }
  std::vector<std::string> names;
  for (const Verb& verb : kVerbs) {
    if (verb.name == name) return verb.run(platform, argc - 1, argv + 1);
    names.emplace_back(verb.name);
  }
  const std::string nearest = nearest_name(name, names);
  fmt::print(stderr, "musaic: unknown verb {}{}\n", name,
             nearest.empty() ? "" : "; did you mean " + nearest + "?");
  return kExitUsage;
}

}  // namespace
}  // namespace musaic

int main(int argc, char** argv) {
  try {
    return musaic::run(argc, argv);
  } catch (const musaic::LoadError& error) {
    fmt::print(stderr, "musaic: {}\n", error.what());
  } catch (const std::exception& error) {
    fmt::print(stderr, "musaic: {}\n", error.what());
  }
  return musaic::kExitLoad;
}
