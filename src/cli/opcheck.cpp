#include "opcheck/opcheck.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/status.h"
#include "cli/command_line.h"
#include "cli/nearest_name.h"
#include "cli/verbs.h"
#include "opcheck/compare_devices.h"

namespace musaic {
namespace {

struct OpCheckFlags {
  std::vector<std::string> ops;
  std::vector<std::string> devices;
  std::string cpu_isa;
  std::string against;
  bool json = false;
  bool verbose = false;
};

constexpr size_t kShownFailures = 3;  // of a line; the JSON has all
constexpr int kCheckedThreads = 2;

std::string without_namespace(const std::string& name) {
  return name.substr(name.find("::") + 2);
}

// The known name, with or without its namespace, that is near to what was given.
std::string nearest_op(const std::string& unknown, const std::vector<std::string>& names) {
  std::vector<std::string> spellings = names;
  for (const std::string& name : names) spellings.push_back(without_namespace(name));
  return nearest_name(unknown, spellings);
}

// The ops whose name is given, with or without its namespace; all of them when none is given.
std::vector<std::string> select_ops(const OpRegistry& registry, const std::vector<std::string>& given) {
  std::vector<std::string> all, selected;
  for (const auto& [name, op] : registry.ops()) all.push_back(name);
  if (given.empty()) return all;
  for (const std::string& wanted : given) {
    const size_t before = selected.size();
    for (const std::string& name : all) {
      if (name == wanted || without_namespace(name) == wanted) selected.push_back(name);
    }
    if (selected.size() > before) continue;
    const std::string nearest = nearest_op(wanted, all);
    fail_load("opcheck: there is no op {}{}", wanted,
              nearest.empty() ? "; musaic ops lists them" : "; did you mean " + nearest + "?");
  }
  return selected;
}

std::vector<std::string> select_devices(const Platform& platform, const std::vector<std::string>& given) {
  for (const std::string& device : given) {
    const auto parsed = parse_device(device);
    if (parsed && std::ranges::find(platform.backends, parsed->type) != platform.backends.end()) continue;
    const std::string nearest = nearest_name(device, platform.backends);
    fail_load("--device {}: this binary has {}{}", device, fmt::join(platform.backends, ", "),
              nearest.empty() ? "" : "; did you mean " + nearest + "?");
  }
  if (!given.empty()) return given;
  std::vector<std::string> here;
  for (const std::string& backend : platform.backends) {
    const bool is_here = !platform.has_device || platform.has_device(backend);
    if (is_here) here.push_back(backend);
    if (!is_here) fmt::print(stderr, "opcheck: {} is skipped: this machine has no such device\n", backend);
  }
  return here;
}

// The instruction sets of which each is a variant of the devices.
std::vector<std::string> select_variants(const Platform& platform, const std::string& given) {
  return given.empty() ? platform.instruction_sets : std::vector<std::string>{given};
}

// One whose kernels run on the processor has a variant for each instruction set; another has none.
void check_device(const Platform& platform, const std::string& device,
                  const std::vector<std::string>& variants, OpChecks& checks) {
  for (const std::string& variant : variants) {
    const auto backend =
        platform.make_backend({.device = device, .num_threads = kCheckedThreads, .cpu_isa = variant});
    if (!backend->capabilities().has(variant)) return checks.run(*backend, nullptr, "");
    const auto one_thread = platform.make_backend({.device = device, .num_threads = 1, .cpu_isa = variant});
    checks.run(*backend, one_thread.get(), variant);
  }
}

std::string sentence(const OpCheckResult& result) {
  if (result.ok() && result.without_kernel > 0)
    return fmt::format("; {} calls that no kernel takes", result.without_kernel);
  std::string text;
  for (size_t i = 0; i < std::min(kShownFailures, result.failures.size()); ++i)
    text += "\n    " + result.failures[i];
  if (result.failures.size() > kShownFailures)
    text += fmt::format("\n    and {} more", result.failures.size() - kShownFailures);
  return text;
}

void print_text(const std::vector<OpCheckResult>& results, const std::vector<std::string>& unreached) {
  int failed = 0, cases = 0;
  for (const OpCheckResult& result : results) {
    fmt::print("{:45} {:10} {:5} {:5} cases  {}{}\n", result.op, result.device, result.dtype, result.cases,
               result.ok() ? "ok" : "FAILED", sentence(result));
    failed += !result.ok();
    cases += result.cases;
  }
  for (const std::string& kernel : unreached) fmt::print("no sample reaches {} on this machine\n", kernel);
  fmt::print("{} lines, {} cases, {} FAILED\n", results.size(), cases, failed);
}

void print_json(const std::vector<OpCheckResult>& results, const std::vector<std::string>& unreached) {
  nlohmann::json lines = nlohmann::json::array();
  for (const OpCheckResult& result : results) {
    lines.push_back({{"op", result.op},
                     {"device", result.device},
                     {"dtype", result.dtype},
                     {"cases", result.cases},
                     {"without_kernel", result.without_kernel},
                     {"kernels", result.kernels},
                     {"ok", result.ok()},
                     {"failures", result.failures}});
  }
  fmt::print("{}\n", nlohmann::json{{"results", lines}, {"unreached_kernels", unreached}}.dump(2));
}

int report(const OpCheckFlags& flags, const std::vector<OpCheckResult>& results,
           const std::vector<std::string>& unreached) {
  if (flags.json) print_json(results, unreached);
  if (!flags.json) print_text(results, unreached);
  return std::ranges::all_of(results, &OpCheckResult::ok) ? kExitOk : kExitLoad;
}

CaseListener listener_of(const OpCheckFlags& flags) {
  if (!flags.verbose) return {};
  return [](const std::string& text) { fmt::print(stderr, "opcheck: {}\n", text); };
}

int compare(const Platform& platform, const OpCheckFlags& flags) {
  const auto make = [&](const std::string& device) {
    return platform.make_backend(
        {.device = device, .num_threads = kCheckedThreads, .cpu_isa = flags.cpu_isa});
  };
  const std::vector<std::string> ops = select_ops(platform.registry, flags.ops);
  const auto reference = make(select_devices(platform, {flags.against})[0]);
  std::vector<OpCheckResult> results;
  for (const std::string& name : select_devices(platform, flags.devices)) {
    const auto device = make(name);
    if (device->device().type == reference->device().type) continue;
    for (OpCheckResult& result :
         compare_devices(platform.registry, ops, *device, *reference, listener_of(flags)))
      results.push_back(std::move(result));
  }
  return report(flags, results, {});
}

}  // namespace

int run_opcheck(Platform& platform, int argc, char** argv) {
  OpCheckFlags flags;
  CLI::App app(
      "Checks ops against their samples: fakes, reads, writes, pad rows, captures, threads. Exit code 1: one "
      "failed.",
      "opcheck");
  app.add_option("op", flags.ops, "names, with or without namespace; default: all");
  app.add_option("--device", flags.devices, "may be repeated; default: all of this binary")
      ->allow_extra_args(false)
      ->take_all();
  app.add_option("--cpu-isa", flags.cpu_isa, "one instruction set; default: each that this processor has");
  app.add_option("--against", flags.against,
                 "another device: compare results with its kernels' instead of checking rules");
  app.add_flag("--json", flags.json);
  app.add_flag("-v,--verbose", flags.verbose, "names each case on standard error as it begins");
  if (const auto exit_code = parse_command_line(app, platform, argc, argv)) return *exit_code;

  if (!flags.against.empty()) return compare(platform, flags);
  OpChecks checks(platform.registry, select_ops(platform.registry, flags.ops), listener_of(flags));
  for (const std::string& device : select_devices(platform, flags.devices))
    check_device(platform, device, select_variants(platform, flags.cpu_isa), checks);
  return report(flags, checks.results(), checks.unreached_kernels());
}

}  // namespace musaic
