#include "backends/cpu/cpu_isa.h"

#include <array>

#include "base/status.h"
#include "hwy/targets.h"

namespace musaic {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"avx2", "avx512", "avx512_vnni", "avx512_bf16"};

bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512cd");
}

}  // namespace

CpuIsa detect_cpu_isa() {
  if (!has_avx2()) fail_load("this processor lacks AVX2, FMA or F16C, which the CPU backend needs");
  if (!has_avx512()) return CpuIsa::kAvx2;
  if (!__builtin_cpu_supports("avx512vnni")) return CpuIsa::kAvx512;
  return __builtin_cpu_supports("avx512bf16") ? CpuIsa::kAvx512Bf16 : CpuIsa::kAvx512Vnni;
}

std::optional<CpuIsa> parse_cpu_isa(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<CpuIsa>(i);
  }
  return std::nullopt;
}

std::string_view name(CpuIsa isa) {
  return kNames[static_cast<size_t>(isa)];
}

Capabilities use_cpu_isa(CpuIsa isa) {
  const CpuIsa highest = detect_cpu_isa();
  if (isa > highest)
    fail_load("CPU instruction set {} was asked for, this processor has {}", name(isa), name(highest));
  hwy::DisableTargets(isa == CpuIsa::kAvx2 ? HWY_AVX3 | HWY_AVX3_DL : 0);
  // Chosen here, not at the first dispatch: there another thread may see the choice before the disabled
  // targets are taken from it.
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  Capabilities capabilities;
  for (size_t i = 0; i <= static_cast<size_t>(isa); ++i) capabilities.features.emplace(kNames[i]);
  return capabilities;
}

}  // namespace musaic
