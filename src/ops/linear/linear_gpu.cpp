#include "ops/linear/linear_gpu.h"

#include "ops/linear/linear.h"

namespace musaic {

void add_linear_gpu(OpRegistry& registry) {
  add_linear_float_gpu(registry);
  add_linear_q8_gpu(registry);
}

}  // namespace musaic
