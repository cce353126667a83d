#include "cli/options.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/nearest_name.h"
#include "cli/serve_flags.h"

namespace musaic {
namespace {

std::vector<std::string> long_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options({})) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

Status check_extras(const CLI::App& app) {
  const std::vector<std::string> extras = app.remaining();
  if (extras.empty()) return {};
  const std::string flag = extras[0].substr(0, extras[0].find('='));
  if (!flag.starts_with("-")) return invalid_argument("unexpected argument {}", flag);
  const std::vector<std::string> names = long_names(app);
  const std::string nearest = nearest_name(flag, names);
  if (nearest.empty()) return invalid_argument("unknown flag {}; --help lists them", flag);
  return invalid_argument("unknown flag {}; did you mean {}?", flag, nearest);
}

Status check_quantization(const std::string& name) {
  constexpr std::string_view kAsStored[] = {"", "none", "auto", "gguf", "fp8"};
  if (std::find(std::begin(kAsStored), std::end(kAsStored), name) != std::end(kAsStored)) return {};
  return invalid_argument(
      "--quantization {}: expected fp8, which quantizes while loading, or none: weights are used as they are "
      "stored",
      name);
}

Status check_overlap(const ServeOptions& options) {
  if (!options.enable_overlap_schedule || !options.disable_overlap_schedule) return {};
  return invalid_argument("--enable-overlap-schedule and --disable-overlap-schedule exclude each other");
}

Status check_keys(const ServeOptions& options) {
  for (const std::string* key : {&options.api_key, &options.admin_api_key}) {
    const bool printable = std::all_of(key->begin(), key->end(), [](char c) { return c > 0x20 && c < 0x7f; });
    if (!printable)
      return invalid_argument("{}: expected printable characters without spaces",
                              key == &options.api_key ? "--api-key" : "--admin-api-key");
  }
  return {};
}

Status resolve(ServeCommandLine& line) {
  if (Status status = check_extras(line.app); !status.ok()) return status;
  if (Status status = resolve_others(line.others, line.options); !status.ok()) return status;
  auto graphs = merge_graph_flags(line.graphs);
  if (!graphs.ok()) return graphs.status();
  line.options.graphs = *std::move(graphs);
  note_compiler(line.options.graphs, line.options.notes);
  if (Status status = check_quantization(line.options.quantization); !status.ok()) return status;
  if (Status status = check_overlap(line.options); !status.ok()) return status;
  return check_keys(line.options);
}

}  // namespace

Result<ServeOptions> parse_serve_options(const std::vector<std::string>& arguments) {
  ServeCommandLine line;
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants them
  try {
    line.app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    line.options.show_help = true;
    return std::move(line.options);
  } catch (const CLI::ParseError& error) {
    return Status(StatusCode::kInvalidArgument, error.what());
  }
  if (Status status = resolve(line); !status.ok()) return status;
  return std::move(line.options);
}

std::string serve_help() {
  return ServeCommandLine().app.help();
}

}  // namespace musaic
