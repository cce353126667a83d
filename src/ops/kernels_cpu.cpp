#include "ops/kernels_cpu.h"

#include "ops/add/add.h"
#include "ops/attention/attention.h"
#include "ops/cast/cast.h"
#include "ops/embedding/embedding.h"
#include "ops/empty/empty.h"
#include "ops/grouped_linear/grouped_linear.h"
#include "ops/grouped_swiglu/grouped_swiglu.h"
#include "ops/index_select/index_select.h"
#include "ops/kv_write/kv_write.h"
#include "ops/latent_write/latent_write.h"
#include "ops/linear/linear.h"
#include "ops/linear_fp8/linear_fp8.h"
#include "ops/logprobs/logprobs.h"
#include "ops/mla_attention/mla_attention.h"
#include "ops/mla_project/mla_project.h"
#include "ops/moe_combine/moe_combine.h"
#include "ops/moe_gate/moe_gate.h"
#include "ops/moe_gate_route/moe_gate_route.h"
#include "ops/moe_route/moe_route.h"
#include "ops/norm_quant_fp8/norm_quant_fp8.h"
#include "ops/norm_quantize/norm_quantize.h"
#include "ops/per_token_group_quant/per_token_group_quant.h"
#include "ops/quantize/quantize.h"
#include "ops/random_values/random_values.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/rope/rope.h"
#include "ops/sample/sample.h"
#include "ops/swiglu/swiglu.h"
#include "ops/swiglu_quantize/swiglu_quantize.h"

namespace musaic {

void add_cpu_kernels(OpRegistry& registry) {
  add_add_cpu(registry);
  add_attention_cpu(registry);
  add_cast_cpu(registry);
  add_embedding_cpu(registry);
  add_empty_cpu(registry);
  add_grouped_linear_cpu(registry);
  add_grouped_swiglu_cpu(registry);
  add_index_select_cpu(registry);
  add_kv_write_cpu(registry);
  add_latent_write_cpu(registry);
  add_linear_cpu(registry);
  add_linear_fp8_cpu(registry);
  add_logprobs_cpu(registry);
  add_mla_attention_cpu(registry);
  add_mla_project_cpu(registry);
  add_moe_combine_cpu(registry);
  add_moe_gate_cpu(registry);
  add_moe_gate_route_cpu(registry);
  add_moe_route_cpu(registry);
  add_norm_quant_fp8_cpu(registry);
  add_norm_quantize_cpu(registry);
  add_per_token_group_quant_cpu(registry);
  add_quantize_cpu(registry);
  add_random_values_cpu(registry);
  add_rms_norm_cpu(registry);
  add_rope_cpu(registry);
  add_sample_cpu(registry);
  add_swiglu_cpu(registry);
  add_swiglu_quantize_cpu(registry);
}

}  // namespace musaic
