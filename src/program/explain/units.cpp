#include "program/explain/units.h"

#include <fmt/format.h>

namespace musaic {
namespace {

// Three digits that count: 9.87, 98.7, 987.
std::string three_digits(double value) {
  return value < 9.995   ? fmt::format("{:.2f}", value)
         : value < 99.95 ? fmt::format("{:.1f}", value)
                         : fmt::format("{:.0f}", value);
}

}  // namespace

std::string format_bytes(double bytes) {
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB"};
  if (bytes < 1024.0) return fmt::format("{:.0f} B", bytes);
  double value = bytes / 1024.0;
  int unit = 0;
  for (; value >= 999.5 && unit < 2; ++unit) value /= 1024.0;
  return three_digits(value) + " " + kUnits[unit];
}

std::string format_count(double count, std::string_view unit_name) {
  constexpr const char* kUnits[] = {"k", "M", "G", "T"};
  if (count < 1000.0) return fmt::format("{:.0f} {}", count, unit_name);
  double value = count / 1000.0;
  int unit = 0;
  for (; value >= 999.5 && unit < 3; ++unit) value /= 1000.0;
  return fmt::format("{} {}{}", three_digits(value), kUnits[unit], unit_name);
}

std::string format_ops(double count) {
  return format_count(count, "OP");
}

std::string format_seconds(double seconds) {
  constexpr const char* kUnits[] = {"µs", "ms", "s"};
  if (seconds <= 0.0) return "0";
  if (seconds < 999.5e-9) return fmt::format("{:.0f} ns", seconds * 1e9);
  double value = seconds * 1e6;
  int unit = 0;
  for (; value >= 999.5 && unit < 2; ++unit) value /= 1000.0;
  return three_digits(value) + " " + kUnits[unit];
}

std::string without_namespace(std::string_view op) {
  const size_t colons = op.rfind("::");
  return std::string(colons == std::string_view::npos ? op : op.substr(colons + 2));
}

}  // namespace musaic
