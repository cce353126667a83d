#include "ops/sample/sample_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "ir/registry.h"
#include "ops/sample/row_kernels.h"
#include "ops/sample/sample.h"
#include "ops/sample/sample_inputs.h"

namespace musaic {
namespace {

Dim workspace_bytes(const KernelQuery& query) {
  const Meta& logits = *query.inputs[sample_inputs::kLogits];
  return logits.dim(0) * Dim(sample_workspace_bytes(logits.dim(1).constant()));
}

bool supports(const KernelQuery& query) {
  const Dim& vocab = query.inputs[sample_inputs::kLogits]->dim(1);
  return vocab.is_constant() && vocab.constant() >= 1 && vocab.constant() <= kMaxExactWeights;
}

void run(const KernelCall& call) {
  using namespace sample_inputs;
  const auto in = call.inputs;
  const SampleCall work = {.logits = in[kLogits].as<const float>(),
                           .logits_stride = in[kLogits].strides[0],
                           .rows = in[kLogits].shape[0],
                           .vocab = in[kLogits].shape[1],
                           .live_rows = call.live_rows,
                           .temperature = in[kTemperature].as<const float>(),
                           .top_k = in[kTopK].as<const int32_t>(),
                           .top_p = in[kTopP].as<const float>(),
                           .min_p = in[kMinP].as<const float>(),
                           .seed = in[kSeed].as<const int64_t>(),
                           .draw = in[kDraw].as<const int32_t>(),
                           .frequency_penalty = in[kFrequencyPenalty].as<const float>(),
                           .presence_penalty = in[kPresencePenalty].as<const float>(),
                           .repetition_penalty = in[kRepetitionPenalty].as<const float>(),
                           .count_slot = in[kCountSlot].as<const int32_t>(),
                           .bias_count = in[kBiasCount].as<const int32_t>(),
                           .max_bias = in[kBiasIds].shape[1],
                           .bias_ids = in[kBiasIds].as<const int32_t>(),
                           .bias_ids_stride = in[kBiasIds].strides[0],
                           .bias_values = in[kBiasValues].as<const float>(),
                           .bias_values_stride = in[kBiasValues].strides[0],
                           .token_counts = in[kTokenCounts].as<int32_t>(),
                           .num_slots = in[kTokenCounts].shape[0],
                           .token = call.outputs[0].as<int32_t>(),
                           .workspace = call.workspace.data};
  GpuStream& stream = gpu_stream(call.stream);
  launch_sample(work, stream.handle());
  stream.check_launch();
}

}  // namespace

void add_sample_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::sample", {.name = "sample_parts_gpu",
                                         .device_type = kGpuDeviceType,
                                         .supports = supports,
                                         .run = run,
                                         .workspace_bytes = workspace_bytes});
}

}  // namespace musaic
