#include "ops/logprobs/logprobs_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "ir/registry.h"
#include "ops/logprobs/logprobs.h"
#include "ops/sample/row_kernels.h"

namespace musaic {
namespace {

bool supports(const KernelQuery& query) {
  const Dim& vocab = query.inputs[0]->dim(1);
  return vocab.is_constant() && vocab.constant() <= kMaxExactWeights &&
         query.attributes.get_int("max_top_n") <= logprobs_max_top_n();
}

void run(const KernelCall& call) {
  const auto in = call.inputs;
  const LogprobsCall work = {.logits = in[0].as<const float>(),
                             .logits_stride = in[0].strides[0],
                             .rows = in[0].shape[0],
                             .vocab = in[0].shape[1],
                             .live_rows = call.live_rows,
                             .target = in[1].as<const int32_t>(),
                             .top_n = in[2].as<const int32_t>(),
                             .probe_count = in[3].as<const int32_t>(),
                             .probe_ids = in[4].as<const int32_t>(),
                             .probe_stride = in[4].strides[0],
                             .max_probes = in[4].shape[1],
                             .max_top_n = call.attributes.get_int("max_top_n"),
                             .target_logprob = call.outputs[0].as<float>(),
                             .top_ids = call.outputs[1].as<int32_t>(),
                             .top_logprobs = call.outputs[2].as<float>(),
                             .probe_logprobs = call.outputs[3].as<float>()};
  GpuStream& stream = gpu_stream(call.stream);
  launch_logprobs(work, stream.handle());
  stream.check_launch();
}

}  // namespace

void add_logprobs_gpu(OpRegistry& registry) {
  registry.add_kernel(
      "musaic::logprobs",
      {.name = "logprobs_gpu", .device_type = kGpuDeviceType, .supports = supports, .run = run});
}

}  // namespace musaic
