#include "ops/latent_write/latent_write.h"

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/highway_targets.h"
#include "backends/cpu/rows.h"
#include "ir/registry.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/latent_write/latent_write_cpu.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "backends/cpu/simd.inl"
#include "hwy/highway.h"
#include "ops/rope/rotate_cpu.inl"

#ifndef MUSAIC_OPS_LATENT_WRITE_CPU
#define MUSAIC_OPS_LATENT_WRITE_CPU
namespace musaic {

constexpr int64_t kMaxRotatedKey = 512;  // values on the stack

struct LatentWriteWork {
  FloatRows query;
  FloatRows latent;
  FloatRows rope_key;
  FloatRows cos_sin;
  const int32_t* slots;
  void* cache;
  DType cache_dtype;
  int64_t head_dim;
  bool interleaved;
  const int32_t* live_rows;
};

}  // namespace musaic
#endif

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {
namespace {

template <class T>
void store_row(const float* from, T* to, size_t n) {
  size_t i = 0;
  for (; i + lanes() <= n; i += lanes()) store(load(from + i), to + i);
  if (i < n) store_first(load_first(from + i, n - i), to + i, n - i);
}

template <class T>
void write_token(const LatentWriteWork& work, int64_t token) {
  HWY_ALIGN float key[kMaxRotatedKey];
  const size_t rotated = static_cast<size_t>(work.rope_key.width);
  const float* cos_sin = work.cos_sin.row(token);
  rotate_head(work.rope_key.row(token), cos_sin, rotated, rotated, work.interleaved, key);
  const int64_t rank = work.latent.width;
  T* row = static_cast<T*>(work.cache) + work.slots[token] * (rank + work.rope_key.width);
  store_row(work.latent.row(token), row, static_cast<size_t>(rank));
  store_row(key, row + rank, rotated);
  float* query = work.query.row(token);
  for (int64_t end = work.head_dim; end <= work.query.width; end += work.head_dim) {
    float* part = query + end - work.rope_key.width;
    rotate_head(part, cos_sin, rotated, rotated, work.interleaved, part);
  }
}

void WriteLatents(const LatentWriteWork& work, IndexRange range) {
  for (int64_t token = range.begin; token < range.end; ++token) {
    if (work.cache_dtype == DType::kF16) {
      write_token<hwy::float16_t>(work, token);
    } else if (work.cache_dtype == DType::kBF16) {
      write_token<hwy::bfloat16_t>(work, token);
    } else {
      write_token<float>(work, token);
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace musaic {
namespace {

HWY_EXPORT(WriteLatents);

bool supports_latent_write(const KernelQuery& query) {
  for (int i = 0; i < 3; ++i) {
    if (query.inputs[i]->dtype != DType::kF32) return false;
  }
  return query.inputs[2]->dim(1).constant() <= kMaxRotatedKey;
}

void run_latent_write(const KernelCall& call) {
  const auto in = call.inputs;
  const LatentWriteWork work = {.query = FloatRows::of(in[0]),
                                .latent = FloatRows::of(in[1]),
                                .rope_key = FloatRows::of(in[2]),
                                .cos_sin = FloatRows::of(in[3]),
                                .slots = in[4].as<int32_t>(),
                                .cache = in[5].data,
                                .cache_dtype = in[5].dtype,
                                .head_dim = call.attributes.get_int("head_dim"),
                                .interleaved = call.attributes.get_bool("interleaved"),
                                .live_rows = call.live_rows};
  cpu_stream(call.stream).launch([work](const Worker& worker) {
    const IndexRange range = share_of(worker, live_count(work.live_rows, work.query.outer));
    HWY_DYNAMIC_DISPATCH(WriteLatents)(work, range);
  });
}

}  // namespace

void add_latent_write_cpu(OpRegistry& registry) {
  registry.add_kernel("musaic::rope_latent_write", {.name = "rope_latent_write_cpu",
                                                    .device_type = "cpu",
                                                    .supports = supports_latent_write,
                                                    .run = run_latent_write});
}

}  // namespace musaic
#endif
