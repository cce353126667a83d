#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/command_line.h"
#include "cli/device_flag.h"
#include "cli/planned_device.h"
#include "cli/verbs.h"
#include "opcheck/kernel_choice.h"

namespace musaic {
namespace {

void print_kernels(const OpDef& op) {
  for (const Kernel& kernel : op.kernels) {
    const char* verb = kernel.is_shared_only() ? "reads, where another kernel packs it," : "packs";
    fmt::print("    {:5} {}{}\n", kernel.device_type, kernel.name,
               kernel.packing ? fmt::format("  {} {}", verb, kernel.packing->layout) : "");
  }
}

std::string reason(const KernelChoice& choice) {
  std::string text = choice.behind == 0 ? "asked first" : fmt::format("asked after {} others", choice.behind);
  if (choice.behind == 1) text = "asked after the one above";
  const std::string origin = origin_of(*choice.kernel);
  return origin.empty() ? text : text + "; " + origin;
}

std::string without_kernel(const OpDef& op) {
  if (op.decomposition == nullptr) return "a model that needs it is refused at load";
  return "a model that would use it is refused at load, or runs its decomposition under "
         "--allow-decomposed-ops " +
         op.schema.name;
}

// The kernel that the device takes for each kind of call, by the op's samples.
void print_choices(const OpDef& op, const Target& target) {
  const std::vector<KernelChoice> choices = choose_kernels(op, target.device, target.capabilities);
  const std::string device = to_string(target.device);
  const bool has_any = std::any_of(choices.begin(), choices.end(),
                                   [](const KernelChoice& choice) { return choice.kernel != nullptr; });
  if (!has_any && !op.is_view) fmt::print("    {} no kernel: {}\n", device, without_kernel(op));
  if (!has_any) return;
  for (const KernelChoice& choice : choices) {
    const std::string types = fmt::format("{}", fmt::join(choice.dtypes, " "));
    if (choice.kernel == nullptr) {
      fmt::print("    {} no kernel for {} samples ({})\n", device, choice.samples, types);
    } else if (choice.samples > 0) {
      fmt::print("    {} {} for {} samples ({}): {}\n", device, choice.kernel->name, choice.samples, types,
                 reason(choice));
    } else if (choice.kernel->is_shared_only()) {
      fmt::print("    {} {} for a weight that another kernel has packed as {}\n", device, choice.kernel->name,
                 choice.kernel->packing->layout);
    } else {
      fmt::print("    {} {} for none: others take them or the device lacks what it needs\n", device,
                 choice.kernel->name);
    }
  }
}

}  // namespace

int run_ops(Platform& platform, int argc, char** argv) {
  CLI::App app("Lists the operators with their schemas and kernels.", "ops");
  std::string only;
  std::string device;
  app.add_option("op", only, "a part of the name");
  app.add_option("--device", device, "the kernels that this device takes, for which calls, and why")
      ->check(is_device());
  if (const auto exit_code = parse_command_line(app, platform, argc, argv)) return *exit_code;
  std::optional<PlannedDevice> planned;
  if (!device.empty()) planned.emplace(platform, device, "", /*assume_kernels=*/false);
  for (const auto& [name, op] : platform.registry.ops()) {
    if (name.find(only) == std::string::npos) continue;
    fmt::print("{}\n", to_string(op.schema));
    if (!op.fake) fmt::print("    no fake kernel: nothing is traced with it\n");
    if (op.is_view) fmt::print("    a view: no kernel\n");
    if (op.is_break) fmt::print("    a break between captured pieces\n");
    if (planned) {
      print_choices(op, planned->target());
    } else {
      print_kernels(op);
    }
  }
  return kExitOk;
}

}  // namespace musaic
