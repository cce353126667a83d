#include "program/explain/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "program/explain/units.h"

namespace musaic {
namespace {

std::string plural(int64_t count, const char* noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string graph_total(const Explanation& e) {
  const int num_nodes = static_cast<int>(e.nodes.size());
  const int launches = e.num_launches();
  return fmt::format("{}: {} with work, {}", plural(num_nodes, "node"), launches,
                     plural(num_nodes - launches, "view"));
}

std::string program_total(const Explanation& e) {
  return fmt::format("{} of {}, {}", plural(e.num_pieces(), "piece"),
                     plural(e.num_piece_structures(), "structure"), plural(e.num_breaks(), "break"));
}

std::string launch_total(const Explanation& e) {
  const int in_breaks = e.launches_in_breaks();
  const std::string breaks = in_breaks == 0 ? "" : fmt::format(" + {} in breaks", in_breaks);
  const std::string together = e.launches_together() ? " together" : "";
  return fmt::format("{} eagerly, {}{}{} replayed: {} fewer a step", e.num_launches(),
                     plural(e.num_pieces(), "piece"), breaks, together, e.num_launches() - e.submissions());
}

std::string traffic_total(const Work& work) {
  return fmt::format("{}: weights {}, states {}, the rest {}", format_bytes(work.bytes()),
                     format_bytes(work.weight_bytes), format_bytes(work.state_bytes),
                     format_bytes(work.other_bytes));
}

std::string arithmetic_total(const Work& work) {
  if (work.int8_ops == 0.0) return format_count(work.float_ops, "FLOP");
  return fmt::format("{} in int8, {}", format_ops(work.int8_ops), format_count(work.float_ops, "FLOP"));
}

std::string memory_total(const Explanation& e) {
  return fmt::format("arena {} for {} of {}; most alive {} at node {}",
                     format_bytes(static_cast<double>(e.memory.arena_bytes)),
                     fmt::format("{} temporaries", e.memory.placements.size()),
                     format_bytes(static_cast<double>(e.memory.separate_bytes)),
                     format_bytes(static_cast<double>(e.memory.peak_bytes())), e.memory.peak_node);
}

std::string time_total(const Explanation& e) {
  double waiting = 0.0;
  for (const ExplainedNode& node : e.nodes) {
    if (e.roof.waits_for_memory(node.work.bytes(), node.work.float_ops, node.work.int8_ops))
      waiting += node.work.seconds;
  }
  const double seconds = e.total().seconds;
  return fmt::format("{} at best, {:.0f} % of it waiting for memory", format_seconds(seconds),
                     seconds > 0.0 ? 100.0 * waiting / seconds : 0.0);
}

std::string executable_total(const Explanation& e) {
  const bool fits = e.executables() <= e.executable_budget;
  return fmt::format("{} for {}; the driver holds {} of all programs ready{}", e.executables(),
                     plural(static_cast<int64_t>(e.buckets.size()), "bucket"), e.executable_budget,
                     fits ? "" : ": they take turns");
}

std::string capture_total(const Explanation& e) {
  const CaptureState& state = *e.captured;
  const bool captured =
      std::count(state.captured_buckets.begin(), state.captured_buckets.end(), e.bucket) > 0;
  return fmt::format("this bucket is {}captured; {} of {} buckets, {}, {}", captured ? "" : "not ",
                     state.captured_buckets.size(), e.buckets.size(),
                     format_bytes(static_cast<double>(state.graph_bytes)),
                     format_seconds(state.capture_seconds));
}

}  // namespace

std::string title_line(const Explanation& e) {
  const std::string unit = e.bucket == 1 ? e.dimension.substr(0, e.dimension.size() - 1) : e.dimension;
  return fmt::format("{} · {} · {} {} · {}", e.model, e.graph, e.bucket, unit, e.device);
}

std::string subject_line(const Explanation& e) {
  std::string features;
  for (const std::string& feature : e.features) features += (features.empty() ? "" : " ") + feature;
  std::string step;
  if (e.dimension == "tokens")
    step =
        fmt::format("{} of {} tokens", plural(e.extent.sequences, "sequence"), e.bucket / e.extent.sequences);
  if (e.dimension == "sequences") step = plural(e.bucket, "sequence") + " of 1 token";
  if (!step.empty()) step += fmt::format(", {} in the cache before; ", plural(e.extent.past, "position"));
  return fmt::format("{}, {}; {}{}", e.model_type, e.mode, step,
                     features.empty() ? e.device : e.device + " with " + features);
}

std::string roof_line(const Explanation& e) {
  return fmt::format("{}: {}, {}, {} in int8", e.roof.name, format_count(e.roof.bytes_per_second, "B/s"),
                     format_count(e.roof.float_ops_per_second, "FLOP/s"),
                     format_count(e.roof.int8_ops_per_second, "OP/s"));
}

std::vector<std::pair<std::string, std::string>> totals(const Explanation& e) {
  const Work work = e.total();
  std::vector<std::pair<std::string, std::string>> lines = {
      {"graph", graph_total(e)},
      {"program", program_total(e)},
      {"launches", launch_total(e)},
      {"traffic", traffic_total(work)},
      {"arithmetic", arithmetic_total(work)},
      {"memory", memory_total(e)},
      {"weights", format_bytes(static_cast<double>(e.weight_bytes)) + " in all"},
      {"time", time_total(e)},
      {"roof", roof_line(e)}};
  if (e.executable_budget > 0) lines.emplace_back("executables", executable_total(e));
  if (e.captured) lines.emplace_back("captured", capture_total(e));
  return lines;
}

std::vector<OpShare> shares_by_op(const Explanation& e) {
  std::map<std::string, OpShare> by_op;
  std::map<std::string, std::set<std::string>> kernels;
  for (const ExplainedNode& node : e.nodes) {
    if (!node.is_launch()) continue;
    OpShare& share = by_op[node.op];
    share.op = node.op;
    ++share.nodes;
    share.work += node.work;
    if (node.has_kernel && kernels[node.op].insert(node.kernel).second)
      share.kernels += (share.kernels.empty() ? "" : ", ") + node.kernel;
  }
  std::vector<OpShare> shares;
  for (auto& [op, share] : by_op) shares.push_back(std::move(share));
  std::stable_sort(shares.begin(), shares.end(),
                   [](const OpShare& a, const OpShare& b) { return a.work.seconds > b.work.seconds; });
  return shares;
}

std::string pass_result(const PassReport& pass) {
  if (!pass.enabled) return "disabled";
  return pass.rewrites == 0 ? "nothing" : plural(pass.rewrites, "rewrite");
}

std::vector<std::string> remarks(const PassReport& pass) {
  std::vector<std::string> lines;
  const auto add = [&](const char* prefix, const PassNote& note) {
    lines.push_back(prefix + note.text + (note.count > 1 ? fmt::format(" ({} times)", note.count) : ""));
  };
  for (const PassNote& note : pass.done) add("", note);
  for (const PassNote& note : pass.left) add("left: ", note);
  return lines;
}

std::string missing_line(const Explanation& e, const MissingKernels& missing) {
  return fmt::format("no kernel for {} on {} ({}){}", missing.op, e.device, plural(missing.nodes, "node"),
                     missing.has_decomposition ? "; it has a decomposition" : "");
}

}  // namespace musaic
