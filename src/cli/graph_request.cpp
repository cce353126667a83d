#include "cli/graph_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "formats/json.h"

namespace musaic {
namespace {

constexpr int64_t kMaxSize = 1 << 30;
constexpr const char* kConfigFlag = "--cuda-graph-config";

// Later calls stand above earlier ones.
template <class Value>
void ask(MaybeAsked<Value>& setting, Value value, const std::string& flag) {
  std::string over;
  if (setting) over = setting->over.empty() ? setting->flag : setting->over + ", " + setting->flag;
  setting = Asked<Value>{std::move(value), flag, std::move(over)};
}

Status ask_mode(MaybeAsked<GraphMode>& setting, const std::string& text, const std::string& flag) {
  const auto mode = parse_graph_mode(text);
  if (!mode) return invalid_argument("{}: expected one of {}, got {}", flag, kGraphModes, text);
  ask(setting, *mode, flag);
  return {};
}

void ask_sizes(MaybeAsked<std::vector<int>>& setting, std::vector<int> sizes, const std::string& flag) {
  if (sizes.empty()) return;
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  ask(setting, std::move(sizes), flag);
}

void ask_max(MaybeAsked<int>& setting, int max, const std::string& flag) {
  if (max >= 0) ask(setting, max, flag);
}

Status exclude(const std::string& a, const std::string& b) {
  return invalid_argument("{} and {} exclude each other", a, b);
}

Status check_prefill(const GraphArguments& given) {
  const auto backend = parse_graph_mode(given.prefill_backend);
  const std::string backend_flag = "--cuda-graph-backend-prefill " + given.prefill_backend;
  const bool wants_mode = backend && *backend != GraphMode::kDisabled;
  for (const auto& [is_given, flag] :
       {std::pair(given.enable_piecewise, "--enable-piecewise-cuda-graph"),
        std::pair(given.enforce_piecewise, "--enforce-piecewise-cuda-graph")}) {
    if (!is_given) continue;
    if (given.disable_piecewise) return exclude(flag, "--disable-piecewise-cuda-graph");
    if (given.disable_prefill) return exclude(flag, "--disable-prefill-cuda-graph");
    if (backend == GraphMode::kDisabled) return exclude(flag, backend_flag);
  }
  if (given.disable_prefill && wants_mode) return exclude("--disable-prefill-cuda-graph", backend_flag);
  if (given.disable_piecewise && backend == GraphMode::kPiecewise)
    return exclude("--disable-piecewise-cuda-graph", backend_flag);
  return {};
}

Status check_decode(const GraphArguments& given) {
  const auto backend = parse_graph_mode(given.decode_backend);
  if (given.disable_decode && backend && *backend != GraphMode::kDisabled)
    return exclude("--disable-decode-cuda-graph", "--cuda-graph-backend-decode " + given.decode_backend);
  return {};
}

// From flags for all to flags of a phase.
Status ask_modes(const GraphArguments& given, GraphRequest& request) {
  MaybeAsked<GraphMode>& prefill = request.prefill.mode;
  MaybeAsked<GraphMode>& decode = request.decode.mode;
  if (given.disable_all) {
    ask(prefill, GraphMode::kDisabled, "--disable-cuda-graph");
    ask(decode, GraphMode::kDisabled, "--disable-cuda-graph");
  }
  if (given.disable_piecewise) ask(prefill, GraphMode::kDisabled, "--disable-piecewise-cuda-graph");
  if (given.enable_piecewise) ask(prefill, GraphMode::kPiecewise, "--enable-piecewise-cuda-graph");
  if (given.enforce_piecewise) ask(prefill, GraphMode::kPiecewise, "--enforce-piecewise-cuda-graph");
  if (given.disable_prefill) ask(prefill, GraphMode::kDisabled, "--disable-prefill-cuda-graph");
  if (given.disable_decode) ask(decode, GraphMode::kDisabled, "--disable-decode-cuda-graph");
  if (!given.prefill_backend.empty()) {
    if (Status status = ask_mode(prefill, given.prefill_backend, "--cuda-graph-backend-prefill");
        !status.ok())
      return status;
  }
  if (given.decode_backend.empty()) return {};
  return ask_mode(decode, given.decode_backend, "--cuda-graph-backend-decode");
}

void ask_all_sizes(const GraphArguments& given, GraphRequest& request) {
  ask_sizes(request.decode.sizes, given.sizes, "--cuda-graph-bs");
  ask_sizes(request.decode.sizes, given.decode_sizes, "--cuda-graph-bs-decode");
  ask_sizes(request.prefill.sizes, given.piecewise_tokens, "--piecewise-cuda-graph-tokens");
  ask_sizes(request.prefill.sizes, given.prefill_sizes, "--cuda-graph-bs-prefill");
  ask_max(request.decode.max_size, given.max_size, "--cuda-graph-max-bs");
  ask_max(request.decode.max_size, given.max_decode, "--cuda-graph-max-bs-decode");
  ask_max(request.prefill.max_size, given.piecewise_max_tokens, "--piecewise-cuda-graph-max-tokens");
  ask_max(request.prefill.max_size, given.max_prefill, "--cuda-graph-max-bs-prefill");
}

bool is_size(const Json& value) {
  return value.is_number_integer() && value.get<int64_t>() >= 1 && value.get<int64_t>() <= kMaxSize;
}

Status ask_config_key(const std::string& name, const std::string& key, const Json& value,
                      PhaseRequest& phase) {
  if (value.is_null()) return {};
  if (key == "backend") {
    if (!value.is_string()) return invalid_argument("{}: expected one of {}", name, kGraphModes);
    return ask_mode(phase.mode, value.get<std::string>(), name);
  }
  if (key == "max_bs") {
    if (!is_size(value)) return invalid_argument("{}: expected a whole number of at least 1", name);
    ask(phase.max_size, value.get<int>(), name);
    return {};
  }
  if (key == "bs") {
    if (!value.is_array() || !std::all_of(value.begin(), value.end(), is_size))
      return invalid_argument("{}: expected a list of whole numbers of at least 1", name);
    ask_sizes(phase.sizes, value.get<std::vector<int>>(), name);
    return {};
  }
  return invalid_argument("{}: unknown; expected backend, bs or max_bs", name);
}

Status ask_config(const std::string& text, GraphRequest& request) {
  if (text.empty()) return {};
  const Json config = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) return invalid_argument("{}: expected a JSON object, got {}", kConfigFlag, text);
  for (const auto& [phase, keys] : config.items()) {
    if (phase != "decode" && phase != "prefill")
      return invalid_argument("{}: {}: unknown; expected decode or prefill", kConfigFlag, phase);
    if (!keys.is_object()) return invalid_argument("{}: {}: expected an object", kConfigFlag, phase);
    for (const auto& [key, value] : keys.items()) {
      const std::string name = fmt::format("{}: {}.{}", kConfigFlag, phase, key);
      PhaseRequest& asked = phase == "decode" ? request.decode : request.prefill;
      if (Status status = ask_config_key(name, key, value, asked); !status.ok()) return status;
    }
  }
  return {};
}

Status ask_rest(const GraphArguments& given, GraphRequest& request) {
  request.compiler = given.compiler;
  if (given.disable_padding) ask(request.pad_decode, false, "--disable-cuda-graph-padding");
  if (given.debug) ask(request.verify_share, 1.0, "--debug-cuda-graph");
  if (given.verify >= 0.0) ask(request.verify_share, given.verify, "--graph-verify");
  if (!given.capture.empty())
    ask(request.capture, given.capture == "eager" ? CaptureTime::kEager : CaptureTime::kLazy, "--capture");
  if (given.executable_budget >= 0)
    ask(request.executable_budget, given.executable_budget, "--graph-executable-budget");
  if (given.memory_budget.empty()) return {};
  const auto bytes = parse_bytes(given.memory_budget);
  if (!bytes)
    return invalid_argument("--graph-memory-budget: expected a size such as 64M or 1.5G, got {}",
                            given.memory_budget);
  ask(request.memory_budget, *bytes, "--graph-memory-budget");
  return {};
}

}  // namespace

std::optional<size_t> parse_bytes(const std::string& text) {
  size_t digits = 0;
  double number = 0;
  try {
    number = std::stod(text, &digits);
  } catch (const std::exception&) {
    return std::nullopt;
  }
  const bool is_plain = std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(digits),
                                    [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
  if (!is_plain) return std::nullopt;
  const std::string unit = text.substr(digits);
  for (const auto& [names, bytes] : {std::pair(" K k KB KiB ", 0x1p10), std::pair(" M m MB MiB ", 0x1p20),
                                     std::pair(" G g GB GiB ", 0x1p30)}) {
    const bool is_unit = !unit.empty() && std::string(names).find(" " + unit + " ") != std::string::npos;
    if (is_unit && number * bytes < 0x1p62) return static_cast<size_t>(number * bytes);
  }
  if (!unit.empty() && unit != "B") return std::nullopt;
  if (number >= 0x1p62 || number != std::floor(number)) return std::nullopt;
  return static_cast<size_t>(number);
}

Result<GraphRequest> merge_graph_flags(const GraphArguments& given) {
  GraphRequest request;
  if (Status status = check_prefill(given); !status.ok()) return status;
  if (Status status = check_decode(given); !status.ok()) return status;
  if (Status status = ask_modes(given, request); !status.ok()) return status;
  ask_all_sizes(given, request);
  if (Status status = ask_rest(given, request); !status.ok()) return status;
  if (Status status = ask_config(given.config, request); !status.ok()) return status;
  return request;
}

}  // namespace musaic
