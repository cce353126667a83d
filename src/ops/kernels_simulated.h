#pragma once

namespace musaic {

class OpRegistry;

// Gives the simulated device a kernel for each of the CPU's, which computes the same after the addresses of
// the call were checked. Kernels that have one already are left out, so that it can be called again
// after plugins brought some.
void add_simulated_kernels(OpRegistry& registry);

}  // namespace musaic
