#include <fmt/format.h>

#include <algorithm>

#include "cli/serve_flags.h"

namespace musaic {
namespace {

constexpr const char* kModes = "full, breakable, piecewise, tc_piecewise, disabled";

std::optional<GraphMode> parse_mode(std::string_view name) {
  if (name == "full") return GraphMode::kFull;
  if (name == "breakable") return GraphMode::kBreakable;
  if (name == "piecewise" || name == "tc_piecewise") return GraphMode::kPiecewise;
  if (name == "disabled") return GraphMode::kDisabled;
  return std::nullopt;
}

Status set_mode(const std::string& flag, const std::string& name, GraphMode& mode) {
  if (name.empty()) return {};
  const auto parsed = parse_mode(name);
  if (!parsed) return invalid_argument("{}: expected one of {}, got {}", flag, kModes, name);
  mode = *parsed;
  return {};
}

void set_sizes(const std::vector<int>& given, std::vector<int>& sizes) {
  if (!given.empty()) sizes = given;
}

void set_max(int given, int& max) {
  if (given >= 0) max = given;
}

Status set_config_key(const std::string& phase, const std::string& key, const Json& value,
                      GraphFlags& resolved) {
  const bool decode = phase == "decode";
  const std::string name = fmt::format("--cuda-graph-config: {}.{}", phase, key);
  if (value.is_null()) return {};
  if (key == "backend") {
    if (!value.is_string()) return invalid_argument("{}: expected one of {}", name, kModes);
    return set_mode(name, value.get<std::string>(), decode ? resolved.decode : resolved.prefill);
  }
  if (key == "max_bs") {
    if (!value.is_number_integer() || value.get<int64_t>() < 1 || value.get<int64_t>() > (1 << 30))
      return invalid_argument("{}: expected a whole number of at least 1", name);
    (decode ? resolved.max_decode_size : resolved.max_prefill_tokens) = value.get<int>();
    return {};
  }
  if (key == "bs") {
    const auto is_size = [](const Json& one) {
      return one.is_number_integer() && one.get<int64_t>() >= 1 && one.get<int64_t>() <= (1 << 30);
    };
    if (!value.is_array() || !std::all_of(value.begin(), value.end(), is_size))
      return invalid_argument("{}: expected a list of whole numbers of at least 1", name);
    (decode ? resolved.decode_sizes : resolved.prefill_sizes) = value.get<std::vector<int>>();
    return {};
  }
  return invalid_argument("{}: unknown; expected backend, bs or max_bs", name);
}

Status apply_config(const std::string& text, GraphFlags& resolved) {
  if (text.empty()) return {};
  const Json config = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object())
    return invalid_argument("--cuda-graph-config: expected a JSON object, got {}", text);
  for (const auto& [phase, keys] : config.items()) {
    if (phase != "decode" && phase != "prefill")
      return invalid_argument("--cuda-graph-config: {}: unknown; expected decode or prefill", phase);
    if (!keys.is_object()) return invalid_argument("--cuda-graph-config: {}: expected an object", phase);
    for (const auto& [key, value] : keys.items()) {
      if (Status status = set_config_key(phase, key, value, resolved); !status.ok()) return status;
    }
  }
  return {};
}

void sort_sizes(std::vector<int>& sizes) {
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
}

}  // namespace

void add_graph_flags(CLI::App& app, GraphArguments& graphs, GraphFlags& resolved) {
  const CLI::Validator at_least_one = in_range(1, 1 << 30);
  FlagGroup group(app, "Captured programs (SGLang's names; on every device)");
  group.add_option("--cuda-graph-backend-decode", graphs.decode_backend,
                   "full (default), breakable, piecewise (tc_piecewise) or disabled");
  group.add_option("--cuda-graph-backend-prefill", graphs.prefill_backend,
                   "the same for prompts; default: piecewise");
  group
      .add_option("--cuda-graph-bs-decode", graphs.decode_sizes,
                  "batch sizes to capture; default: 1 2 4 8 12 16, then by 8")
      ->expected(1, 4096)
      ->check(at_least_one);
  group
      .add_option("--cuda-graph-bs-prefill", graphs.prefill_sizes,
                  "token counts to capture; default: steps that grow with the size")
      ->expected(1, 4096)
      ->check(at_least_one);
  group.add_option("--cuda-graph-max-bs-decode", graphs.max_decode, "default: --max-running-requests")
      ->check(at_least_one);
  group.add_option("--cuda-graph-max-bs-prefill", graphs.max_prefill, "default: the chunk's size")
      ->check(at_least_one);
  group.add_option("--cuda-graph-config", graphs.config,
                   R"(JSON: {"decode": {"backend", "bs", "max_bs"}, "prefill": {...}})");
  group.add_flag("--disable-decode-cuda-graph", graphs.disable_decode, "decode eagerly");
  group.add_flag("--disable-prefill-cuda-graph", graphs.disable_prefill, "run prompts eagerly");
  group.add_flag("--debug-cuda-graph", resolved.debug, "check every replay");
  group.add_option("--cuda-graph-bs", graphs.sizes, "as --cuda-graph-bs-decode")
      ->expected(1, 4096)
      ->check(at_least_one);
  group.add_option("--cuda-graph-max-bs", graphs.max_size, "as --cuda-graph-max-bs-decode")
      ->check(at_least_one);
  group.add_flag("--disable-cuda-graph", graphs.disable_all, "run all steps eagerly");
  group.add_flag("--disable-cuda-graph-padding", graphs.disable_padding,
                 "replay only batches of exactly a captured size");
  group.add_option("--piecewise-cuda-graph-tokens", graphs.piecewise_tokens, "as --cuda-graph-bs-prefill")
      ->expected(1, 4096)
      ->check(at_least_one);
  group
      .add_option("--piecewise-cuda-graph-max-tokens", graphs.piecewise_max_tokens,
                  "as --cuda-graph-max-bs-prefill")
      ->check(at_least_one);
  group.add_option("--piecewise-cuda-graph-compiler", graphs.compiler, "accepted; no compiler runs")
      ->check(CLI::IsMember({"eager", "inductor"}));
  group.add_flag("--disable-piecewise-cuda-graph", graphs.disable_piecewise,
                 "as --disable-prefill-cuda-graph");
  group.add_flag("--enforce-piecewise-cuda-graph", graphs.enforce_piecewise,
                 "as --cuda-graph-backend-prefill piecewise");
}

Status resolve_graphs(const GraphArguments& given, GraphFlags& resolved, std::vector<std::string>& notes) {
  if (given.disable_all || given.disable_decode) resolved.decode = GraphMode::kDisabled;
  if (given.disable_all || given.disable_prefill || given.disable_piecewise)
    resolved.prefill = GraphMode::kDisabled;
  if (given.enforce_piecewise) {
    if (given.disable_piecewise)
      return invalid_argument(
          "--enforce-piecewise-cuda-graph and --disable-piecewise-cuda-graph exclude each other");
    resolved.prefill = GraphMode::kPiecewise;
  }
  if (Status status = set_mode("--cuda-graph-backend-decode", given.decode_backend, resolved.decode);
      !status.ok())
    return status;
  if (Status status = set_mode("--cuda-graph-backend-prefill", given.prefill_backend, resolved.prefill);
      !status.ok())
    return status;
  set_sizes(given.sizes, resolved.decode_sizes);
  set_sizes(given.decode_sizes, resolved.decode_sizes);
  set_sizes(given.piecewise_tokens, resolved.prefill_sizes);
  set_sizes(given.prefill_sizes, resolved.prefill_sizes);
  set_max(given.max_size, resolved.max_decode_size);
  set_max(given.max_decode, resolved.max_decode_size);
  set_max(given.piecewise_max_tokens, resolved.max_prefill_tokens);
  set_max(given.max_prefill, resolved.max_prefill_tokens);
  resolved.pad_decode = !given.disable_padding;
  if (Status status = apply_config(given.config, resolved); !status.ok()) return status;
  sort_sizes(resolved.decode_sizes);
  sort_sizes(resolved.prefill_sizes);
  if (!given.compiler.empty())
    notes.push_back(fmt::format(
        "--piecewise-cuda-graph-compiler {}: Musaic traces its own graph and captures it; no compiler runs",
        given.compiler));
  return {};
}

}  // namespace musaic
