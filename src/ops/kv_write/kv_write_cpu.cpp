#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/highway_targets.h"
#include "backends/cpu/rows.h"
#include "ir/registry.h"
#include "ops/kv_write/kv_write.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/kv_write/kv_write_cpu.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "backends/cpu/simd.inl"
#include "hwy/highway.h"
#include "ops/per_token_group_quant/f8_cpu.inl"
#include "ops/rope/rotate_cpu.inl"

#ifndef MUSAIC_OPS_KV_WRITE_CPU
#define MUSAIC_OPS_KV_WRITE_CPU
namespace musaic {

constexpr size_t kMaxRotatedHead = 512;  // values of one key head on the stack

// Addresses of one call. `query.data` is null where nothing is rotated.
struct KvWriteWork {
  FloatRows query;
  FloatRows key;
  FloatRows value;
  FloatRows cos_sin;
  const int32_t* slots;
  void* key_cache;
  void* value_cache;
  DType cache_dtype;
  int64_t kv_heads;
  int64_t page_size;
  size_t head_dim;
  bool interleaved;
  const int32_t* live_rows;

  // Where a head's row of a slot begins, in values.
  int64_t cache_offset(int64_t slot, int64_t head) const {
    const int64_t page = slot / page_size;
    return ((page * kv_heads + head) * page_size + slot % page_size) * static_cast<int64_t>(head_dim);
  }
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
void write_token(const KvWriteWork& work, int64_t token) {
  HWY_ALIGN float rotated_key[kMaxRotatedHead];
  const size_t rotated = static_cast<size_t>(work.cos_sin.width);
  const bool rotates = work.query.data != nullptr;
  const float* cos_sin = rotates ? work.cos_sin.row(token) : nullptr;
  for (int64_t head = 0; head < work.kv_heads; ++head) {
    const int64_t column = head * static_cast<int64_t>(work.head_dim);
    const int64_t offset = work.cache_offset(work.slots[token], head);
    const float* key = work.key.row(token) + column;
    if (rotates) {
      rotate_head(key, cos_sin, rotated, work.head_dim, work.interleaved, rotated_key);
      key = rotated_key;
    }
    store_row(key, static_cast<T*>(work.key_cache) + offset, work.head_dim);
    store_row(work.value.row(token) + column, static_cast<T*>(work.value_cache) + offset, work.head_dim);
  }
  if (!rotates) return;
  float* query = work.query.row(token);
  for (size_t head = 0; head < static_cast<size_t>(work.query.width); head += work.head_dim)
    rotate_head(query + head, cos_sin, rotated, work.head_dim, work.interleaved, query + head);
}

void WriteTokens(const KvWriteWork& work, IndexRange range) {
  for (int64_t token = range.begin; token < range.end; ++token) {
    if (work.cache_dtype == DType::kF16) {
      write_token<hwy::float16_t>(work, token);
    } else if (work.cache_dtype == DType::kBF16) {
      write_token<hwy::bfloat16_t>(work, token);
    } else if (work.cache_dtype == DType::kF8E4M3) {
      write_token<F8E4M3>(work, token);
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

HWY_EXPORT(WriteTokens);

bool supports_kv_write(const KernelQuery& query) {
  return query.inputs[0]->dtype == DType::kF32 && query.inputs[1]->dtype == DType::kF32;
}

bool supports_rope_kv_write(const KernelQuery& query) {
  const int64_t head_dim = query.attributes.get_int("head_dim");
  return supports_kv_write(query) && query.inputs[2]->dtype == DType::kF32 &&
         head_dim <= static_cast<int64_t>(kMaxRotatedHead);
}

void launch(const KernelCall& call, const KvWriteWork& work) {
  cpu_stream(call.stream).launch([work](const Worker& worker) {
    const IndexRange range = share_of(worker, live_count(work.live_rows, work.key.outer));
    HWY_DYNAMIC_DISPATCH(WriteTokens)(work, range);
  });
}

KvWriteWork work_of(const Tensor& key, const Tensor& value, const Tensor& slots, const Tensor& key_cache,
                    const Tensor& value_cache) {
  return {.query = {},
          .key = FloatRows::of(key),
          .value = FloatRows::of(value),
          .cos_sin = {},
          .slots = slots.as<int32_t>(),
          .key_cache = key_cache.data,
          .value_cache = value_cache.data,
          .cache_dtype = key_cache.dtype,
          .kv_heads = key_cache.shape[1],
          .page_size = key_cache.shape[2],
          .head_dim = static_cast<size_t>(key_cache.shape[3]),
          .interleaved = false,
          .live_rows = nullptr};
}

void run_kv_write(const KernelCall& call) {
  const auto in = call.inputs;
  KvWriteWork work = work_of(in[0], in[1], in[2], in[3], in[4]);
  work.live_rows = call.live_rows;
  launch(call, work);
}

void run_rope_kv_write(const KernelCall& call) {
  const auto in = call.inputs;
  KvWriteWork work = work_of(in[1], in[2], in[4], in[5], in[6]);
  work.query = FloatRows::of(in[0]);
  work.cos_sin = FloatRows::of(in[3]);
  work.interleaved = call.attributes.get_bool("interleaved");
  work.live_rows = call.live_rows;
  launch(call, work);
}

}  // namespace

void add_kv_write_cpu(OpRegistry& registry) {
  registry.add_kernel(
      "musaic::kv_write",
      {.name = "kv_write_cpu", .device_type = "cpu", .supports = supports_kv_write, .run = run_kv_write});
  registry.add_kernel("musaic::rope_kv_write", {.name = "rope_kv_write_cpu",
                                                .device_type = "cpu",
                                                .supports = supports_rope_kv_write,
                                                .run = run_rope_kv_write});
}

}  // namespace musaic
#endif
