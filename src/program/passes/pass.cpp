#include "program/passes/pass.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/check.h"

namespace musaic {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

void note(std::vector<PassNote>& notes, int node, const std::string& text) {
  for (PassNote& known : notes) {
    if (known.text != text) continue;
    ++known.count;
    return;
  }
  notes.push_back({text, node, 1});
}

void run_pass(const Pass& pass, Graph& graph, const Target& target, PassReport& report) {
  const auto start = Clock::now();
  Graph result = pass.run(graph, target, report);
  report.milliseconds = milliseconds_since(start);
  if (report.rewrites == 0) return;
  const auto verify_start = Clock::now();
  const auto problems = verify(result, target.registry);
  CHECK(problems.empty(), "pass {}: {}", pass.name, problems.front());
  report.verify_milliseconds = milliseconds_since(verify_start);
  graph = std::move(result);
}

}  // namespace

bool has_kernels(const Target& target, std::string_view op_name) {
  const OpDef* op = target.registry.find(op_name);
  return op != nullptr && std::any_of(op->kernels.begin(), op->kernels.end(), [&](const Kernel& kernel) {
           return kernel.device_type == target.device.type;
         });
}

std::string to_string(const PassNote& note) {
  if (note.count == 1) return fmt::format("node {}: {}", note.first_node, note.text);
  return fmt::format("{} times, first at node {}: {}", note.count, note.first_node, note.text);
}

void PassReport::did(int node, const std::string& text) {
  ++rewrites;
  found(node, text);
}

void PassReport::found(int node, const std::string& text) {
  note(done, node, text);
}

void PassReport::leave(int node, const std::string& text) {
  note(left, node, text);
}

std::vector<Pass> passes_for(bool quantize) {
  std::vector<Pass> passes;
  if (quantize) passes.push_back({"quantize_linear", quantize_linear});
  passes.push_back({"merge_projections", merge_projections});
  passes.push_back({"fold_views", fold_views});
  passes.push_back({"fuse_swiglu", fuse_swiglu});
  passes.push_back({"fuse_moe", fuse_moe});
  passes.push_back({"fuse_linear_add", fuse_linear_add});
  passes.push_back({"fuse_norm_linear", fuse_norm_linear});
  if (quantize) passes.push_back({"round_linear", round_linear});
  passes.push_back({"fuse_add_rms_norm", fuse_add_rms_norm});
  passes.push_back({"fuse_norm_quantize", fuse_norm_quantize});
  passes.push_back({"fuse_norm_quant_fp8", fuse_norm_quant_fp8});
  passes.push_back({"fuse_norm_route", fuse_norm_route});
  passes.push_back({"fuse_combine_norm", fuse_combine_norm});
  passes.push_back({"fuse_swiglu_quantize", fuse_swiglu_quantize});
  passes.push_back({"fuse_experts", fuse_experts});
  passes.push_back({"join_experts", join_experts});
  passes.push_back({"fuse_experts_norm", fuse_experts_norm});
  passes.push_back({"fuse_absorbed_values", fuse_absorbed_values});
  passes.push_back({"fuse_expanded_quantize", fuse_expanded_quantize});
  passes.push_back({"fuse_norm_latent_write", fuse_norm_latent_write});
  passes.push_back({"fuse_mla_decode", fuse_mla_decode});
  passes.push_back({"fuse_rope_kv_write", fuse_rope_kv_write});
  passes.push_back({"fuse_rope_attention", fuse_rope_attention});
  passes.push_back({"fuse_attention_out", fuse_attention_out});
  passes.push_back({"remove_dead_code", remove_dead_code});
  passes.push_back({"find_equal_pieces", find_equal_pieces});
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
    if (report.enabled) run_pass(pass, graph, target, report);
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace musaic
