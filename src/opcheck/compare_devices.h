#pragma once

#include <string>
#include <vector>

#include "device/backend.h"
#include "ir/registry.h"
#include "opcheck/opcheck.h"
#include "tensor/host_tensor.h"

namespace musaic {

// Runs the ops' samples through each kernel of a device and compares its results with those of the first
// kernel of `reference`, a device of another type: integers that count or index must be equal, quantized
// values at most one step apart, floats within a share of the tensor's largest magnitude that their type and
// another order of summation explain.
std::vector<OpCheckResult> compare_devices(const OpRegistry& registry, const std::vector<std::string>& ops,
                                           Backend& device, Backend& reference,
                                           const CaseListener& on_case = {});

// "value 7 is 1.5, expected 2.5"; empty: as near as the type allows, times `allowance`. REQUIRES: equal types
// and shapes.
std::string far_apart(const HostTensor& got, const HostTensor& expected, double allowance = 1.0);

}  // namespace musaic
