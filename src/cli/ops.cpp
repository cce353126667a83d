#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/command_line.h"
#include "cli/verbs.h"

namespace musaic {

int run_ops(Platform& platform, int argc, char** argv) {
  CLI::App app("Lists the operators with their schemas and kernels.", "ops");
  std::string only;
  app.add_option("op", only, "a part of the name");
  if (const auto exit_code = parse_command_line(app, platform, argc, argv)) return *exit_code;
  for (const auto& [name, op] : platform.registry.ops()) {
    if (name.find(only) == std::string::npos) continue;
    fmt::print("{}\n", to_string(op.schema));
    if (!op.fake) fmt::print("    no fake kernel: nothing is traced with it\n");
    if (op.is_view) fmt::print("    a view: no kernel\n");
    if (op.is_break) fmt::print("    a break between captured pieces\n");
    for (const Kernel& kernel : op.kernels) {
      fmt::print("    {:5} {}{}\n", kernel.device_type, kernel.name,
                 kernel.packing ? fmt::format("  packs {}", kernel.packing->layout) : "");
    }
  }
  return kExitOk;
}

}  // namespace musaic
