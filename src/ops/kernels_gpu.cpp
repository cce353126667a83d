#include "ops/kernels_gpu.h"

#include "ops/add/add.h"
#include "ops/attention/attention.h"
#include "ops/attention/rope_attention.h"
#include "ops/cast/cast.h"
#include "ops/embedding/embedding.h"
#include "ops/index_select/index_select.h"
#include "ops/kv_write/kv_write.h"
#include "ops/linear/fused_linear.h"
#include "ops/linear/linear.h"
#include "ops/logprobs/logprobs.h"
#include "ops/norm_quantize/norm_quantize.h"
#include "ops/op_list.h"
#include "ops/per_token_group_quant/per_token_group_quant.h"
#include "ops/quantize/quantize.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/rope/rope.h"
#include "ops/sample/sample.h"
#include "ops/swiglu/swiglu.h"
#include "ops/swiglu_quantize/swiglu_quantize.h"

namespace musaic {

void add_gpu_kernels(OpRegistry& registry) {
  define_gpu_ops(registry);
  add_add_gpu(registry);
  add_attention_gpu(registry);
  add_cast_gpu(registry);
  add_embedding_gpu(registry);
  add_index_select_gpu(registry);
  add_kv_write_gpu(registry);
  add_linear_gpu(registry);
  add_fused_linear_gpu(registry);
  add_logprobs_gpu(registry);
  add_norm_quantize_gpu(registry);
  add_per_token_group_quant_gpu(registry);
  add_quantize_gpu(registry);
  add_rms_norm_gpu(registry);
  add_rope_gpu(registry);
  add_rope_attention_gpu(registry);
  add_sample_gpu(registry);
  add_swiglu_gpu(registry);
  add_swiglu_quantize_gpu(registry);
}

}  // namespace musaic
