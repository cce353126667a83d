#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "device/capabilities.h"

namespace musaic {

// Instruction set levels, each containing the ones before.
enum class CpuIsa { kAvx2, kAvx512, kAvx512Vnni, kAvx512Bf16 };

// The highest level of this processor. Throws LoadError when it lacks AVX2, FMA or F16C.
CpuIsa detect_cpu_isa();
std::optional<CpuIsa> parse_cpu_isa(std::string_view name);  // "avx2", "avx512", "avx512_vnni", "avx512_bf16"
std::string_view name(CpuIsa isa);

// Features up to `isa`; also keeps Highway from choosing a higher target in this process.
Capabilities use_cpu_isa(CpuIsa isa);

}  // namespace musaic
