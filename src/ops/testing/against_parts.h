#pragma once

#include <string>

#include "ir/builder.h"
#include "ops/testing/run_op.h"

// Fused ops beside their decompositions, as test expectations.
namespace musaic::testing {

// A call of the op has outputs like those of its decomposition: the fake kernel is right about them.
void expect_outputs_of_parts(const OpRegistry& registry, GraphBuilder& builder, const std::string& op,
                             const std::vector<Value>& inputs, const Attributes& attributes);

// Outputs 0 and 1 are `rows` rows in FP8 and their scales. A value is a step of FP8 off at most, where a sum
// falls on the other side of a rounding, and that in one of fifty values of a row; scales are within 1e-4.
void expect_fp8_rows_near(const OpRun& run, const OpRun& parts, int64_t rows);

}  // namespace musaic::testing
