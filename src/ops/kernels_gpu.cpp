#include "ops/kernels_gpu.h"

#include "gpu_vendor.h"
#include "ops/add/add.h"
#include "ops/attention/attention.h"
#include "ops/attention/rope_attention.h"
#include "ops/cast/cast.h"
#include "ops/embedding/embedding.h"
#include "ops/empty/empty.h"
#include "ops/grouped_linear/grouped_linear.h"
#include "ops/grouped_swiglu/grouped_swiglu.h"
#include "ops/index_select/index_select.h"
#include "ops/kv_write/kv_write.h"
#include "ops/latent_write/latent_write.h"
#include "ops/latent_write/norm_latent_write.h"
#include "ops/linear/fused_linear.h"
#include "ops/linear/linear.h"
#include "ops/linear_fp8/linear_fp8.h"
#include "ops/logprobs/logprobs.h"
#include "ops/mla_attention/mla_attention.h"
#include "ops/mla_project/mla_project.h"
#include "ops/moe_combine/combine_norm_fp8.h"
#include "ops/moe_combine/moe_combine.h"
#include "ops/moe_gate/moe_gate.h"
#include "ops/moe_gate_route/moe_gate_route.h"
#include "ops/moe_route/moe_route.h"
#include "ops/norm_quant_fp8/norm_quant_fp8.h"
#include "ops/norm_quantize/norm_quantize.h"
#include "ops/op_list.h"
#include "ops/per_token_group_quant/per_token_group_quant.h"
#include "ops/quantize/quantize.h"
#include "ops/random_values/random_values.h"
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
  add_empty_gpu(registry);
  add_grouped_linear_gpu(registry);
  add_grouped_swiglu_gpu(registry);
  add_index_select_gpu(registry);
  add_kv_write_gpu(registry);
  add_latent_write_gpu(registry);
  add_linear_gpu(registry);
  add_linear_fp8_gpu(registry);
  add_fused_linear_gpu(registry);
  add_logprobs_gpu(registry);
  add_mla_attention_gpu(registry);
  add_mla_project_gpu(registry);
  add_combine_norm_fp8_gpu(registry);
  add_moe_combine_gpu(registry);
  add_moe_gate_gpu(registry);
  add_moe_gate_route_gpu(registry);
  add_moe_route_gpu(registry);
  add_norm_latent_write_gpu(registry);
  add_norm_quant_fp8_gpu(registry);
  add_norm_quantize_gpu(registry);
  add_per_token_group_quant_gpu(registry);
  add_quantize_gpu(registry);
  add_random_values_gpu(registry);
  add_rms_norm_gpu(registry);
  add_rope_gpu(registry);
  add_rope_attention_gpu(registry);
  add_sample_gpu(registry);
  add_swiglu_gpu(registry);
  add_swiglu_quantize_gpu(registry);
  if constexpr (kHasSm90Kernels) add_sm90_kernels(registry);
}

}  // namespace musaic
