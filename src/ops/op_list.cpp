#include "ops/op_list.h"

#include "ops/add/add.h"
#include "ops/attention/attention.h"
#include "ops/attention/rope_attention.h"
#include "ops/attention_out/attention_out.h"
#include "ops/cast/cast.h"
#include "ops/embedding/embedding.h"
#include "ops/empty/empty.h"
#include "ops/experts_fp8/experts_fp8.h"
#include "ops/experts_fp8/experts_norm_fp8.h"
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
#include "ops/mla_attention/mla_absorbed_values.h"
#include "ops/mla_attention/mla_attention.h"
#include "ops/mla_attention/mla_expanded_fp8.h"
#include "ops/mla_decode/mla_decode.h"
#include "ops/mla_project/mla_project.h"
#include "ops/moe_combine/combine_norm_fp8.h"
#include "ops/moe_combine/moe_combine.h"
#include "ops/moe_gate/moe_gate.h"
#include "ops/moe_gate_route/moe_gate_route.h"
#include "ops/moe_route/moe_route.h"
#include "ops/norm_quant_fp8/norm_quant_fp8.h"
#include "ops/norm_quantize/norm_quantize.h"
#include "ops/norm_route_fp8/norm_route_fp8.h"
#include "ops/per_token_group_quant/per_token_group_quant.h"
#include "ops/quantize/quantize.h"
#include "ops/random_values/random_values.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/rope/rope.h"
#include "ops/sample/sample.h"
#include "ops/swiglu/swiglu.h"
#include "ops/swiglu_quantize/swiglu_quantize.h"
#include "ops/view/view.h"

namespace musaic {

void define_ops(OpRegistry& registry) {
  define_add(registry);
  define_attention(registry);
  define_cast(registry);
  define_embedding(registry);
  define_empty(registry);
  define_grouped_linear(registry);
  define_grouped_swiglu(registry);
  define_index_select(registry);
  define_kv_write(registry);
  define_latent_write(registry);
  define_linear(registry);
  define_linear_fp8(registry);
  define_logprobs(registry);
  define_mla_attention(registry);
  define_mla_project(registry);
  define_moe_combine(registry);
  define_moe_gate(registry);
  define_moe_gate_route(registry);
  define_moe_route(registry);
  define_norm_quant_fp8(registry);
  define_norm_quantize(registry);
  define_per_token_group_quant(registry);
  define_quantize(registry);
  define_random_values(registry);
  define_rms_norm(registry);
  define_rope(registry);
  define_sample(registry);
  define_swiglu(registry);
  define_swiglu_quantize(registry);
  define_view(registry);
}

void define_gpu_ops(OpRegistry& registry) {
  define_attention_out(registry);
  define_combine_norm_fp8(registry);
  define_experts_fp8(registry);
  define_experts_norm_fp8(registry);
  define_fused_linear(registry);
  define_mla_absorbed_values(registry);
  define_mla_decode(registry);
  define_mla_expanded_fp8(registry);
  define_norm_latent_write(registry);
  define_norm_route_fp8(registry);
  define_rope_attention(registry);
}

}  // namespace musaic
