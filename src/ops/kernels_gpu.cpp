#include "ops/kernels_gpu.h"

#include "ops/add/add.h"
#include "ops/cast/cast.h"
#include "ops/index_select/index_select.h"
#include "ops/kv_write/kv_write.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/rope/rope.h"
#include "ops/swiglu/swiglu.h"

namespace musaic {

void add_gpu_kernels(OpRegistry& registry) {
  add_add_gpu(registry);
  add_cast_gpu(registry);
  add_index_select_gpu(registry);
  add_kv_write_gpu(registry);
  add_rms_norm_gpu(registry);
  add_rope_gpu(registry);
  add_swiglu_gpu(registry);
}

}  // namespace musaic
