#pragma once

#include <set>
#include <string>
#include <vector>

#include "device/capabilities.h"
#include "ir/op.h"

namespace musaic {

// Which kernel a device takes for how many of an op's samples.
struct KernelChoice {
  const Kernel* kernel = nullptr;  // nullptr: the device has none for these
  int samples = 0;
  std::set<std::string> dtypes;  // as opcheck names samples
  int behind = 0;                // kernels of the device that are asked before it
};

// In the order in which the device's kernels are asked; last what has none. Empty for views and for ops
// without samples. Throws LoadError where the fake refuses a sample.
std::vector<KernelChoice> choose_kernels(const OpDef& op, const Device& device,
                                         const Capabilities& capabilities);

// Where a kernel's code comes from, by its name: "the source that all GPU vendors share".
std::string origin_of(const Kernel& kernel);

}  // namespace musaic
