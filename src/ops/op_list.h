#pragma once

namespace musaic {

class OpRegistry;

// Defines every built-in op. Kernels come from the backends: add_cpu_kernels in ops/kernels_cpu.h.
void define_ops(OpRegistry& registry);

// Defines fused ops that only GPUs have kernels for: where there are none, no graph has them.
void define_gpu_ops(OpRegistry& registry);

}  // namespace musaic
