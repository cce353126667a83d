#pragma once

#include "ops/testing/run_op.h"

namespace musaic::testing {

// check_op with the kernel that a device of these features besides its own takes.
OpRun check_op_with_features(const OpRegistry& registry, const OpCase& op_case,
                             const std::vector<std::string>& features);

}  // namespace musaic::testing
