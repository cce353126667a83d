#include "cli/bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace musaic {
namespace {

std::string cell(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "-";
  if (!value.is_number_float()) return value.dump();
  const double number = value.get<double>();
  return number >= 100 || number <= -100 ? fmt::format("{:.0f}", number) : fmt::format("{:.3g}", number);
}

Json limits_to_json(const MachineLimits& limits) {
  Json int8 = Json::object();
  for (const auto& [name, rate] : limits.int8_ops_per_second) int8[name] = rate * 1e-9;
  return {{"read_gb_per_second", limits.read_bytes_per_second * 1e-9},
          {"float_gflop_per_second", limits.float_ops_per_second * 1e-9},
          {"int8_gop_per_second", std::move(int8)}};
}

}  // namespace

std::string format_table(const Json& rows) {
  std::vector<std::vector<std::string>> table(1);
  if (rows.empty()) return "";
  for (const auto& [key, value] : rows.front().items()) table[0].push_back(key);
  for (const Json& row : rows) {
    table.emplace_back();
    for (const auto& [key, value] : row.items()) table.back().push_back(cell(value));
  }
  std::vector<size_t> widths(table[0].size());
  for (const auto& row : table) {
    for (size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::vector<bool> is_text;
  for (const auto& [key, value] : rows.front().items()) is_text.push_back(value.is_string());
  std::string text;
  for (const auto& row : table) {
    std::string line;
    for (size_t i = 0; i < widths.size(); ++i) {
      if (i > 0) line += "  ";
      line +=
          is_text[i] ? fmt::format("{:<{}}", row[i], widths[i]) : fmt::format("{:>{}}", row[i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

Json to_json(const BenchReport& report, const BenchMachine& machine, const ModelSession& session) {
  Json json = {{"bench", report.bench},          {"model", session.files().path.string()},
               {"dtype", session.dtype()},       {"instruction_set", machine.instruction_set},
               {"threads", machine.num_threads}, {"repetitions", report.repetitions}};
  if (machine.limits) json["limits"] = limits_to_json(*machine.limits);
  json["rows"] = report.rows;
  return json;
}

std::string to_text(const BenchReport& report, const BenchMachine& machine, const ModelSession& session) {
  std::string text = fmt::format("{}: {}, dtype {}, {} on {} threads, median of {}\n", report.bench,
                                 session.files().path.filename().string(), session.dtype(),
                                 machine.instruction_set, machine.num_threads, report.repetitions);
  if (machine.limits) {
    text += fmt::format("this machine: reads {:.1f} GB/s, float32 {:.0f} GFLOP/s, int8",
                        machine.limits->read_bytes_per_second * 1e-9,
                        machine.limits->float_ops_per_second * 1e-9);
    for (const auto& [name, rate] : machine.limits->int8_ops_per_second)
      text += fmt::format(" {} {:.0f} GOP/s", name, rate * 1e-9);
    text += '\n';
  }
  return text + '\n' + format_table(report.rows);
}

}  // namespace musaic
