#include "cli/moe_runner.h"

#include <CLI/CLI.hpp>

namespace musaic {

CLI::Option* add_moe_runner_flag(CLI::App& app, std::string& moe_runner) {
  return app
      .add_option("--moe-runner-backend", moe_runner,
                  "how the rows of experts lie; deepgemm: in its layouts; default: auto, close together")
      ->check(CLI::IsMember({"auto", "triton", "cutlass", "deepgemm"}));
}

bool uses_deepgemm_layouts(const std::string& moe_runner) {
  return moe_runner == "deepgemm";
}

}  // namespace musaic
