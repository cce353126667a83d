#include "ops/kernels_cpu.h"

#include "ops/add/add.h"
#include "ops/logprobs/logprobs.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/sample/sample.h"

namespace musaic {

void add_cpu_kernels(OpRegistry& registry) {
  add_add_cpu(registry);
  add_logprobs_cpu(registry);
  add_rms_norm_cpu(registry);
  add_sample_cpu(registry);
}

}  // namespace musaic
