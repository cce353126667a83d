#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ir/op_sample.h"

namespace musaic {

// What names the line of a sample in reports: the dtype of the weight or cache where it is not f32, else of
// the first argument.
std::string dtype_of(const OpSample& sample);

// How many rows are live in the calls that a sample stands for; nullopt: every row is real.
std::vector<std::optional<int32_t>> live_rows_of(const OpSample& sample);

}  // namespace musaic
