#include "backends/gpu/gpu_stream.h"
#include "base/check.h"
#include "device/row_invariant.h"
#include "ir/registry.h"
#include "ops/latent_write/latent_write_gpu.h"
#include "ops/mla_attention/mla_attention_call_gpu.h"
#include "ops/mla_decode/mla_decode.h"
#include "ops/mla_decode/mla_decode_gpu.h"
#include "ops/per_token_group_quant/fp8_rows_call_gpu.h"

namespace musaic {
namespace {

using namespace mla_decode;

static_assert(kMlaDecodeCounters <= GpuStream::kNumCounters);
constexpr int64_t kNope = 128, kRope = kMlaMatrixWidth - kMlaMatrixRank, kValues = 128;

bool has_width(const Meta& meta, int64_t width) {
  const Dim& last = meta.dim(meta.rank() - 1);
  return last.is_constant() && last.constant() == width;
}

// Rows begin at multiples of 16 bytes where the first one does.
bool has_whole_units(const Meta& rows) {
  return rows.strides[0].is_constant() && rows.strides[0].constant() % 4 == 0;
}

bool has_deepseek_sizes(const KernelQuery& query) {
  const Attributes& attributes = query.attributes;
  return attributes.get_int("num_heads") == kMlaHeadsAtOnce && attributes.get_int("v_head_dim") == kValues &&
         attributes.get_int("head_dim") == kNope + kRope &&
         has_width(*query.inputs[kLatent], kMlaMatrixRank) &&
         has_width(*query.inputs[kCache], kMlaMatrixWidth);
}

// Few rows have other bits than many: not where a row's bits may not depend on the others.
bool supports(const KernelQuery& query) {
  if (!query.capabilities.has("sm_90") || query.capabilities.has(kRowInvariant)) return false;
  for (int input : {kQuery, kLatent, kRopeKey, kCosSin}) {
    if (query.inputs[input]->dtype != DType::kF32 || !has_whole_units(*query.inputs[input])) return false;
  }
  return query.inputs[kCache]->dtype == DType::kBF16 && query.inputs[kKvB]->dtype == DType::kF8E4M3 &&
         has_deepseek_sizes(query) && can_run_mla_decode_sm90();
}

MlaDecodeCall call_of(const KernelCall& call) {
  const auto in = call.inputs;
  MlaDecodeCall work = {.write = latent_write_call(call),
                        .norm = {.weight = in[kNormWeight].data,
                                 .dtype = in[kNormWeight].dtype,
                                 .eps = static_cast<float>(call.attributes.get_float("eps"))},
                        .cache = {},
                        .kv_b = {.data = in[kKvB].as<const uint8_t>(),
                                 .dtype = in[kKvB].dtype,
                                 .scale = in[kKvBScale].as<const float>(),
                                 .scale_columns = in[kKvBScale].shape[1],
                                 .rank = kMlaMatrixRank,
                                 .nope = kNope,
                                 .value_dim = kValues},
                        .scale = static_cast<float>(call.attributes.get_float("scale") * mla::kLog2E),
                        .out = fp8_rows_out(call),
                        .workspace = call.workspace.data};
  work.cache = {.data = in[kCache].as<const uint8_t>(),
                .dtype = in[kCache].dtype,
                .width = kMlaMatrixWidth,
                .page_size = static_cast<int>(in[kCache].shape[2]),
                .query_start = in[kQueryStart].as<const int32_t>(),
                .kv_lengths = in[kKvLengths].as<const int32_t>(),
                .page_table = in[kPageTable].as<const int32_t>(),
                .max_pages = in[kPageTable].shape[1],
                .num_sequences = in[kNumSequences].as<const int32_t>(),
                .sequences = in[kKvLengths].shape[0]};
  return work;
}

Dim workspace_bytes(const KernelQuery&) {
  return kMlaDecodeWorkspaceBytes;
}

void run_mla_decode(const KernelCall& call) {
  for (int input : {kQuery, kLatent, kRopeKey, kCosSin, kCache, kNormWeight, kKvB})
    CHECK(reinterpret_cast<uintptr_t>(call.inputs[static_cast<size_t>(input)].data) % 16 == 0,
          "mla_decode_attention_fp8: argument {} does not lie at a multiple of 16 bytes", input);
  GpuStream& stream = gpu_stream(call.stream);
  MlaDecodeCall work = call_of(call);
  work.counters = stream.counters();
  launch_mla_decode_sm90(work, stream.handle());
  stream.check_launch();
}

}  // namespace

void add_mla_decode_sm90(OpRegistry& registry) {
  registry.add_kernel("musaic::mla_decode_attention_fp8", {.name = "mla_decode_attention_fp8_sm90",
                                                           .device_type = kGpuDeviceType,
                                                           .supports = supports,
                                                           .run = run_mla_decode,
                                                           .workspace_bytes = workspace_bytes});
}

}  // namespace musaic
