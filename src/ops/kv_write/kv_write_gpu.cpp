#include "ops/kv_write/kv_write_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/kv_write/kv_write.h"
#include "ops/row_queries.h"

namespace musaic {
namespace {

bool supports_kv_write(const KernelQuery& query) {
  return have_one_dtype(query, 2) && has_wide_cache(query, 3);
}

bool supports_rope_kv_write(const KernelQuery& query) {
  return have_one_dtype(query, 3) && has_wide_cache(query, 5);
}

KvWriteCall call_of(const Tensor& key, const Tensor& value, const Tensor& slots, const Tensor& key_cache,
                    const Tensor& value_cache) {
  return {.query = {},
          .key = device_rows(key),
          .value = device_rows(value),
          .cos_sin = {},
          .slots = slots.as<const int32_t>(),
          .key_cache = key_cache.data,
          .value_cache = value_cache.data,
          .cache_dtype = key_cache.dtype,
          .kv_heads = key_cache.shape[1],
          .page_size = key_cache.shape[2],
          .head_dim = key_cache.shape[3],
          .interleaved = false,
          .live_rows = nullptr};
}

void launch(const KernelCall& call, KvWriteCall work) {
  GpuStream& stream = gpu_stream(call.stream);
  work.live_rows = call.live_rows;
  launch_kv_write(work, stream.handle());
  stream.check_launch();
}

void run_kv_write(const KernelCall& call) {
  const auto in = call.inputs;
  launch(call, call_of(in[0], in[1], in[2], in[3], in[4]));
}

void run_rope_kv_write(const KernelCall& call) {
  const auto in = call.inputs;
  KvWriteCall work = call_of(in[1], in[2], in[4], in[5], in[6]);
  work.query = device_rows(in[0]);
  work.cos_sin = device_rows(in[3]);
  work.interleaved = call.attributes.get_bool("interleaved");
  launch(call, work);
}

}  // namespace

void add_kv_write_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::kv_write", {.name = "kv_write_gpu",
                                           .device_type = kGpuDeviceType,
                                           .supports = supports_kv_write,
                                           .run = run_kv_write});
  registry.add_kernel("musaic::rope_kv_write", {.name = "rope_kv_write_gpu",
                                                .device_type = kGpuDeviceType,
                                                .supports = supports_rope_kv_write,
                                                .run = run_rope_kv_write});
}

}  // namespace musaic
