#pragma once

namespace musaic {

class OpRegistry;

// Defines every built-in op. Kernels come from the backends: add_cpu_kernels in ops/kernels_cpu.h.
void define_ops(OpRegistry& registry);

}  // namespace musaic
