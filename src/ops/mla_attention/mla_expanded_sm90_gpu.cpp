#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "base/check.h"
#include "ops/mla_attention/mla_attention_call_gpu.h"
#include "ops/mla_attention/mla_expanded_sm90.h"
#include "ops/per_token_group_quant/fp8_rows_call_gpu.h"

namespace musaic {
namespace {

using namespace mla;

bool has_aligned_rows(const Meta& meta) {
  return meta.strides[0].is_constant() && meta.strides[0].constant() % 4 == 0;
}

bool supports_expanded(const KernelQuery& query) {
  return query.capabilities.has("sm_90") && supports(query) && has_expanded_sizes(query) &&
         query.inputs[kKvB]->dtype == DType::kF8E4M3 && has_aligned_rows(*query.inputs[kQuery]);
}

// That are made ahead.
template <class Number>
Number wide_tiles(const Number& tokens, const Number& sequences, const Number& positions) {
  return min(ceil_div(tokens, Number(kMlaWideTile)) + sequences + kMlaExtraWideTiles,
             sequences * ceil_div(positions, Number(kMlaWideTile)));
}

Dim expanded_workspace(const KernelQuery& query) {
  const Dim tiles =
      wide_tiles(query.inputs[kQuery]->dim(0), query.inputs[kKvLengths]->dim(0), positions_of(query));
  return tiles * mla_wide_tile_bytes(query.attributes.get_int("num_heads"));
}

MlaAttentionCall expanded_call(const KernelCall& call) {
  MlaAttentionCall work = call_of(call);
  set_kv_b(work, call, kBlock);
  CHECK(is_aligned(work), "mla_expanded_attention: rows that do not lie at multiples of 16 bytes");
  return work;
}

bool launch(const MlaAttentionCall& work, const Fp8RowsOut& fp8, GpuStream& stream) {
  const int64_t tiles = wide_tiles(work.tokens, work.cache.sequences, positions_of(work));
  return launch_expanded_sm90(work, fp8, static_cast<int>(tiles), stream.handle());
}

void run_expanded(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  MlaAttentionCall work = expanded_call(call);
  set_out(work, call.outputs[0]);
  if (!launch(work, {}, stream)) launch_expanded_plain(work, stream.handle());
  stream.check_launch();
}

void run_expanded_fp8(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  const bool is_launched = launch(expanded_call(call), fp8_rows_out(call), stream);
  CHECK(is_launched, "mla_expanded_attention_fp8: the driver cannot map kv_b");
  stream.check_launch();
}

}  // namespace

void add_mla_attention_sm90(OpRegistry& registry) {
  registry.prefer_kernel("musaic::mla_expanded_attention", {.name = "mla_expanded_attention_sm90",
                                                            .device_type = kGpuDeviceType,
                                                            .supports = supports_expanded,
                                                            .run = run_expanded,
                                                            .workspace_bytes = expanded_workspace});
  registry.add_kernel("musaic::mla_expanded_attention_fp8", {.name = "mla_expanded_attention_fp8_sm90",
                                                             .device_type = kGpuDeviceType,
                                                             .supports = supports_expanded,
                                                             .run = run_expanded_fp8,
                                                             .workspace_bytes = expanded_workspace});
}

}  // namespace musaic
