#include "ops/attention/attention_sm90.h"
#include "ops/attention_out/attention_out.h"
#include "ops/experts_fp8/experts_fp8_sm90.h"
#include "ops/grouped_linear/grouped_linear_fp8_sm90.h"
#include "ops/kernels_gpu.h"
#include "ops/linear/linear_sm90.h"
#include "ops/linear_fp8/linear_fp8_sm90.h"
#include "ops/mla_attention/mla_expanded_sm90.h"
#include "ops/mla_decode/mla_decode.h"
#include "ops/moe_combine/combine_norm_fp8_sm90.h"
#include "ops/norm_route_fp8/norm_route_fp8_sm90.h"

namespace musaic {

void add_sm90_kernels(OpRegistry& registry) {
  add_attention_sm90(registry);
  add_attention_out_sm90(registry);
  add_combine_norm_fp8_sm90(registry);
  add_experts_fp8_sm90(registry);
  add_experts_norm_fp8_sm90(registry);
  add_grouped_linear_fp8_sm90(registry);
  add_linear_fp8_sm90(registry);
  add_linear_sm90(registry);
  add_mla_attention_sm90(registry);
  add_mla_decode_sm90(registry);
  add_norm_route_fp8_sm90(registry);
}

}  // namespace musaic
