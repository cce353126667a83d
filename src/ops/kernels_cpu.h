#pragma once

namespace musaic {

class OpRegistry;

// Adds the CPU kernels of every built-in op. REQUIRES: define_ops was called.
void add_cpu_kernels(OpRegistry& registry);

}  // namespace musaic
