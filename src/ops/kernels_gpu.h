#pragma once

namespace musaic {

class OpRegistry;

// Adds the GPU's kernels of every op that has them, under the device type of the vendor that they are built
// for.
void add_gpu_kernels(OpRegistry& registry);

// Adds those that only compute capability 9.0 runs, before the others. Linked where kHasSm90Kernels.
void add_sm90_kernels(OpRegistry& registry);

}  // namespace musaic
