#include "cli/graph_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "program/buckets.h"

namespace musaic {
namespace {

constexpr size_t kMaxListed = 8;  // sizes in one cell; more are counted

std::string text_of(GraphMode mode) {
  return std::string(name(mode));
}
std::string text_of(int number) {
  return std::to_string(number);
}
std::string text_of(double number) {
  return fmt::format("{}", number);
}
std::string text_of(const std::vector<int>& sizes) {
  if (sizes.empty()) return "none";
  if (sizes.size() <= kMaxListed) return fmt::format("{}", fmt::join(sizes, " "));
  return fmt::format("{} sizes, {} to {}", sizes.size(), sizes.front(), sizes.back());
}
std::string text_of(CaptureTime time) {
  return time == CaptureTime::kEager ? "eager" : "lazy";
}
std::string text_of(size_t bytes) {
  if (bytes == SIZE_MAX) return "unlimited";
  return bytes < (1 << 20) ? fmt::format("{} B", bytes)
                           : fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}
std::string text_of(bool on) {
  return on ? "on" : "off";
}

// A row; without `why`, the default's reason or that the flag is kept.
template <class Value>
GraphSetting row(std::string setting, const MaybeAsked<Value>& asked, const Value& in_force,
                 std::string why) {
  GraphSetting out{.name = std::move(setting),
                   .asked = {},
                   .flag = {},
                   .in_force = text_of(in_force),
                   .why = std::move(why)};
  if (!asked) {
    if (out.why.empty()) out.why = "default";
    return out;
  }
  out.asked = text_of(asked->value);
  out.flag = asked->flag;
  if (out.why.empty()) out.why = "as asked";
  if (!asked->over.empty()) out.why += "; above " + asked->over;
  return out;
}

// One phase on its way through the rules.
struct Phase {
  const char* name;
  StepKind kind;
  const PhaseRequest& request;
  GraphMode default_mode;
  const char* unit;       // of sizes
  int limit;              // no step is larger
  std::string limit_why;  // "--max-running-requests is 64"
  int default_max = 0;    // where it is below the limit; 0: the limit
};

template <class Value>
Value value_or(const MaybeAsked<Value>& asked, Value otherwise) {
  return asked ? asked->value : otherwise;
}

std::string mode_reason(GraphMode asked, GraphMode in_force, const GraphFacts& facts) {
  if (asked == in_force) return "";
  return fmt::format("attention cannot be recorded inside a piece on {}", facts.device);
}

std::vector<int> default_sizes(const Phase& phase, int max_size) {
  return phase.kind == StepKind::kDecode ? decode_buckets({}, max_size, max_size) : extend_buckets(max_size);
}

// The asked sizes without those that no captured step may have, and why some are missing.
std::vector<int> allowed_sizes(const std::vector<int>& asked, const Phase& phase, int max_size,
                               std::string& why) {
  std::vector<int> sizes = asked;
  std::vector<int> left_out;
  for (int size : asked) {
    if (size > max_size) left_out.push_back(size);
  }
  std::erase_if(sizes, [max_size](int size) { return size > max_size; });
  if (left_out.empty()) return sizes;
  const std::string reason =
      max_size < phase.limit ? fmt::format("the largest to capture is {}", max_size) : phase.limit_why;
  why = fmt::format("{} left out: {}", text_of(left_out), reason);
  return sizes;
}

PhaseGraphs resolve_phase(const Phase& phase, const GraphFacts& facts, std::vector<GraphSetting>& table) {
  PhaseGraphs out;
  const PhaseRequest& request = phase.request;
  const GraphMode asked = request.mode ? request.mode->value : phase.default_mode;
  const bool whole = phase.kind == StepKind::kDecode ? facts.whole_decode : facts.whole_extend;
  const size_t first = table.size();
  out.mode = asked == GraphMode::kFull && !whole ? GraphMode::kPiecewise : asked;
  table.push_back(
      row(fmt::format("{} mode", phase.name), request.mode, out.mode, mode_reason(asked, out.mode, facts)));

  const bool has_default = phase.default_max > 0 && !request.sizes;
  const int default_max = has_default ? phase.default_max : phase.limit;
  const int asked_max = value_or(request.max_size, default_max);
  out.max_size = std::min(asked_max, phase.limit);
  const bool is_limit = asked_max > phase.limit || (!request.max_size && default_max >= phase.limit);
  table.push_back(row(fmt::format("{} largest {}", phase.name, phase.unit), request.max_size, out.max_size,
                      is_limit ? phase.limit_why : ""));

  std::string why;
  if (out.mode == GraphMode::kDisabled) {
    why = "steps of this phase run eagerly";
  } else if (request.sizes) {
    out.sizes = allowed_sizes(request.sizes->value, phase, out.max_size, why);
  } else {
    out.sizes = default_sizes(phase, out.max_size);
  }
  table.push_back(row(fmt::format("{} sizes", phase.name), request.sizes, out.sizes, why));
  if (out.sizes.empty() && out.mode != GraphMode::kDisabled) {
    out.mode = GraphMode::kDisabled;
    table[first] = row(fmt::format("{} mode", phase.name), request.mode, out.mode,
                       "none of the asked sizes can be captured");
  }
  return out;
}

// Passes quantize activations, so a token's bits would depend on the phase that ran it.
void note_mixed_passes(const ResolvedGraphs& graphs, const GraphFacts& facts,
                       std::vector<GraphSetting>& table) {
  const bool prefill = graphs.prefill.mode == GraphMode::kBreakable;
  const bool decode = graphs.decode.mode == GraphMode::kBreakable;
  if (prefill == decode || !facts.quantizes_activations) return;
  const std::string name = prefill ? "prefill mode" : "decode mode";
  const auto setting =
      std::find_if(table.begin(), table.end(), [&](const auto& one) { return one.name == name; });
  setting->why +=
      "; no pass quantizes here but in the other phase, so tokens may depend on company: --dtype float32 or "
      "breakable "
      "for both mends that";
}

std::string why_so_many_executables(const MaybeAsked<int>& asked, const GraphFacts& facts) {
  if (facts.memory_limits_executables) return "--graph-memory-budget holds no more; pieces take turns";
  if (asked && asked->value != facts.executable_budget)
    return "captures of " + facts.device + " are no executables";
  return "";
}

GraphSetting executable_row(const MaybeAsked<int>& asked, const GraphFacts& facts) {
  GraphSetting out =
      row("graph executables", asked, facts.executable_budget, why_so_many_executables(asked, facts));
  if (facts.executable_budget == 0) out.in_force = "all";
  return out;
}

}  // namespace

ResolvedGraphs resolve_graphs(const GraphRequest& request, const GraphFacts& facts) {
  ResolvedGraphs out;
  const int step_limit = std::min(facts.max_step_tokens, facts.context_length);
  const Phase prefill{.name = "prefill",
                      .kind = StepKind::kExtend,
                      .request = request.prefill,
                      .default_mode = GraphMode::kPiecewise,
                      .unit = "tokens",
                      .limit = step_limit,
                      .limit_why = facts.context_length <= facts.max_step_tokens
                                       ? fmt::format("the context is {}", facts.context_length)
                                       : fmt::format("a step has at most {} tokens", facts.max_step_tokens),
                      .default_max = facts.default_graph_tokens};
  const Phase decode{.name = "decode",
                     .kind = StepKind::kDecode,
                     .request = request.decode,
                     .default_mode = GraphMode::kFull,
                     .unit = "batch",
                     .limit = facts.max_running_requests,
                     .limit_why = fmt::format("--max-running-requests is {}", facts.max_running_requests)};
  out.prefill = resolve_phase(prefill, facts, out.table);
  out.decode = resolve_phase(decode, facts, out.table);
  note_mixed_passes(out, facts, out.table);
  out.pad_decode = value_or(request.pad_decode, out.pad_decode);
  out.capture = value_or(request.capture, out.capture);
  out.memory_budget = value_or(request.memory_budget, out.memory_budget);
  out.verify_share = value_or(request.verify_share, out.verify_share);
  out.table.push_back(row("decode padding", request.pad_decode, out.pad_decode, ""));
  out.table.push_back(row("capture", request.capture, out.capture, ""));
  out.table.push_back(row("graph memory", request.memory_budget, out.memory_budget, ""));
  out.table.push_back(executable_row(request.executable_budget, facts));
  const bool has_graphs = out.prefill.mode != GraphMode::kDisabled || out.decode.mode != GraphMode::kDisabled;
  if (!has_graphs) out.verify_share = 0.0;
  out.table.push_back(
      row("verified share", request.verify_share, out.verify_share, has_graphs ? "" : "nothing is replayed"));
  return out;
}

std::vector<std::string> table_lines(const std::vector<GraphSetting>& table) {
  std::vector<std::array<std::string, 4>> cells = {{"graphs", "asked", "in force", "why"}};
  for (const GraphSetting& setting : table) {
    const std::string asked =
        setting.flag.empty() ? "-" : fmt::format("{} ({})", setting.asked, setting.flag);
    cells.push_back({setting.name, asked, setting.in_force, setting.why});
  }
  std::array<size_t, 3> widths{};
  for (const auto& line : cells) {
    for (size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::vector<std::string> lines;
  for (const auto& [setting, asked, in_force, why] : cells)
    lines.push_back(fmt::format("{:{}}  {:{}}  {:{}}  {}", setting, widths[0], asked, widths[1], in_force,
                                widths[2], why));
  return lines;
}

Json to_json(const std::vector<GraphSetting>& table) {
  const auto given = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  Json rows = Json::array();
  for (const GraphSetting& setting : table) {
    rows.push_back({{"setting", setting.name},
                    {"asked", given(setting.asked)},
                    {"flag", given(setting.flag)},
                    {"in_force", setting.in_force},
                    {"why", setting.why}});
  }
  return rows;
}

Json graph_config_json(const ResolvedGraphs& graphs) {
  const auto phase = [](const PhaseGraphs& one) {
    return Json{{"backend", name(one.mode)}, {"bs", one.sizes}, {"max_bs", one.max_size}};
  };
  return {{"decode", phase(graphs.decode)}, {"prefill", phase(graphs.prefill)}};
}

void apply(const ResolvedGraphs& graphs, GraphRunnerOptions& options) {
  options.extend_mode = graphs.prefill.mode;
  options.decode_mode = graphs.decode.mode;
  options.max_graph_tokens = graphs.prefill.max_size;
  options.extend_sizes = graphs.prefill.sizes;
  options.decode_sizes = graphs.decode.sizes;
  options.default_max_decode = graphs.decode.max_size;
  options.pad_decode = graphs.pad_decode;
  options.graph_memory_budget = graphs.memory_budget;
  options.verify_share = graphs.verify_share;
}

}  // namespace musaic
