#include "ops/linear/linear.h"
#include "ops/linear/linear_kernels_cpu.h"

namespace musaic {

void add_linear_cpu(OpRegistry& registry) {
  add_linear_float_cpu(registry);
  add_linear_q8_cpu(registry);
}

}  // namespace musaic
