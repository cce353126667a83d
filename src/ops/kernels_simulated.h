#pragma once

namespace musaic {

class OpRegistry;

// Gives the simulated device a kernel for each of the CPU's, which computes the same after the addresses of
// the call were checked. REQUIRES: every CPU kernel was added.
void add_simulated_kernels(OpRegistry& registry);

}  // namespace musaic
