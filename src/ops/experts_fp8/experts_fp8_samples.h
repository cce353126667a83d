#pragma once

#include <vector>

#include "ir/op_sample.h"

namespace musaic {

std::vector<OpSample> experts_gate_up_fp8_samples();
std::vector<OpSample> experts_down_fp8_samples();
std::vector<OpSample> experts_fp8_samples();
std::vector<OpSample> experts_norm_fp8_samples();

}  // namespace musaic
