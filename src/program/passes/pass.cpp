#include "program/passes/pass.h"

#include <algorithm>
#include <chrono>

#include "base/check.h"

namespace musaic {

std::vector<Pass> passes_for(bool quantize) {
  std::vector<Pass> passes = {{"fuse_add_rms_norm", fuse_add_rms_norm},
                              {"fuse_swiglu", fuse_swiglu},
                              {"fuse_rope_kv_write", fuse_rope_kv_write}};
  if (quantize) passes.push_back({"quantize_linear", quantize_linear});
  passes.push_back({"remove_dead_code", remove_dead_code});
  return passes;
}

std::vector<std::string> pass_names() {
  std::vector<std::string> names;
  for (const Pass& pass : passes_for(true)) names.emplace_back(pass.name);
  return names;
}

std::vector<PassReport> run_passes(Graph& graph, const Target& target, std::span<const Pass> passes,
                                   std::span<const std::string> disabled) {
  std::vector<PassReport> reports;
  for (const Pass& pass : passes) {
    PassReport report{.name = pass.name};
    report.enabled = std::find(disabled.begin(), disabled.end(), pass.name) == disabled.end();
    if (report.enabled) {
      const auto start = std::chrono::steady_clock::now();
      graph = pass.run(graph, target, report);
      report.milliseconds =
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
      const auto problems = verify(graph, target.registry);
      CHECK(problems.empty(), "pass {}: {}", pass.name, problems.front());
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace musaic
