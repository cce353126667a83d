#include "program/explain/roof.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/status.h"

namespace musaic {
namespace {

constexpr double kGiga = 1e9;

std::vector<double> parse_numbers(const std::string& text) {
  std::vector<double> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    double number = 0.0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc() || !std::isfinite(number) || number <= 0.0) return {};
    numbers.push_back(number);
    if (next == end) return numbers;
    if (*next != ',') return {};
    at = next + 1;
  }
}

}  // namespace

double Roof::seconds(double bytes, double float_ops, double int8_ops) const {
  return std::max(bytes / bytes_per_second,
                  float_ops / float_ops_per_second + int8_ops / int8_ops_per_second);
}

bool Roof::waits_for_memory(double bytes, double float_ops, double int8_ops) const {
  return bytes / bytes_per_second >= float_ops / float_ops_per_second + int8_ops / int8_ops_per_second;
}

std::vector<Roof> named_roofs() {
  return {
      // NVIDIA's data sheets, SXM boards, without sparsity.
      {"a100", 2039e9, 312e12, 624e12},
      {"h100", 3350e9, 989e12, 1979e12},
      {"h200", 4800e9, 989e12, 1979e12},
      // Moore Threads' product page of 2023: 768 GB/s, 100 TFLOPS at 16 bits, 200 TOPS at int8.
      {"mtt-s4000", 768e9, 100e12, 200e12, 2000},
      // Moore Threads' figures of February 2026: 1.6 TB/s, 1,000 TFLOPS at FP8; half of them at 16 bits, int8
      // as fast as FP8. Its driver holds about 2,043 executables of graphs.
      {"mtt-s5000", 1600e9, 500e12, 1000e12, 2000},
      // Measured by `musaic bench` on two cores of an EPYC of that generation, VNNI.
      {"zen4-2core", 38e9, 229e9, 927e9},
  };
}

Roof parse_roof(const std::string& text) {
  const auto roofs = named_roofs();
  for (const Roof& roof : roofs) {
    if (roof.name == text) return roof;
  }
  const auto numbers = parse_numbers(text);
  if (numbers.size() == 2 || numbers.size() == 3) {
    return {text, numbers[0] * kGiga, numbers[1] * kGiga, numbers.back() * kGiga, 0};
  }
  std::string names;
  for (const Roof& roof : roofs) names += (names.empty() ? "" : ", ") + roof.name;
  fail_load("roof {}: expected one of {}, or GB/s,GFLOP/s such as 38,300", text, names);
}

std::string usual_roof(const std::string& device_type) {
  if (device_type == "cuda") return "h200";
  if (device_type == "musa") return "mtt-s5000";
  return "zen4-2core";
}

}  // namespace musaic
