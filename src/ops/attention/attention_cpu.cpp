#include <algorithm>

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/highway_targets.h"
#include "ir/registry.h"
#include "ops/attention/attention.h"
#include "ops/attention/attention_work_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/attention/attention_cpu.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "hwy/highway.h"
#include "ops/attention/attention_tile_cpu.inl"
#include "ops/per_token_group_quant/f8_cpu.inl"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {
namespace {

// One share of a call, over a cache of T.
template <class T>
class AttentionRun {
 public:
  AttentionRun(const AttentionWork& work, const Worker& worker)
      : work_(work), worker_(worker), tile_(work, std::min(worker.index, kMaxWorkers - 1)) {}

  // Every tile, but split ones split by split.
  void run_units() {
    AttentionSchedule schedule(work_, worker_.count);
    int64_t first = 0, count = 0;
    for (int64_t index = worker_.next_chunk();; index = worker_.next_chunk()) {
      while (index >= first + count) {
        first += count;
        if (!schedule.next_sequence()) return;
        count = schedule.num_units();
      }
      const AttentionUnit unit = schedule.unit(index - first);
      if (unit.split >= 0) {
        tile_.run_one_split(unit.tile, unit.split, unit.partial);
      } else {
        tile_.run(unit.tile);
      }
    }
  }

  // The split tiles' sums into their rows, when all units are done.
  void merge_splits() {
    AttentionSchedule schedule(work_, worker_.count);
    const int num_workers = std::min(worker_.count, kMaxWorkers);
    int64_t tile_number = 0;
    while (schedule.next_sequence()) {
      if (!schedule.is_split()) continue;
      for (int64_t kv_head = 0; kv_head < work_.kv_heads; ++kv_head) {
        if (tile_number++ % num_workers != worker_.index) continue;
        tile_.run_merge(schedule.whole_tile(kv_head), schedule.num_splits(), schedule.first_partial(kv_head));
      }
    }
  }

 private:
  const AttentionWork& work_;
  const Worker& worker_;
  TileAttention<T> tile_;
};

enum class Phase { kUnits, kMerge };

template <class T>
void run_phase(const AttentionWork& work, const Worker& worker, Phase phase) {
  if (worker.index >= kMaxWorkers) return;  // has no scratch memory
  AttentionRun<T> run(work, worker);
  phase == Phase::kUnits ? run.run_units() : run.merge_splits();
}

void dispatch(const AttentionWork& work, const Worker& worker, Phase phase) {
  if (work.cache_dtype == DType::kF16) {
    run_phase<hwy::float16_t>(work, worker, phase);
  } else if (work.cache_dtype == DType::kBF16) {
    run_phase<hwy::bfloat16_t>(work, worker, phase);
  } else if (work.cache_dtype == DType::kF8E4M3) {
    run_phase<F8E4M3>(work, worker, phase);
  } else {
    run_phase<float>(work, worker, phase);
  }
}

void RunAttention(const AttentionWork& work, const Worker& worker) {
  dispatch(work, worker, Phase::kUnits);
}

void MergeAttention(const AttentionWork& work, const Worker& worker) {
  dispatch(work, worker, Phase::kMerge);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace musaic {
namespace {

HWY_EXPORT(RunAttention);
HWY_EXPORT(MergeAttention);

constexpr double kLog2E = 1.4426950408889634;

bool supports_paged_attention(const KernelQuery& query) {
  return query.inputs[0]->dtype == DType::kF32;
}

Dim workspace_bytes(const KernelQuery& query) {
  return Dim(static_cast<int64_t>(attention_workspace_bytes(query.inputs[1]->dim(3).constant())));
}

void run_paged_attention(const KernelCall& call) {
  const auto in = call.inputs;
  const Shape& cache = in[1].shape;
  const int64_t num_heads = call.attributes.get_int("num_heads");
  AttentionWork work{.query = in[0].as<float>(),
                     .out = call.outputs[0].as<float>(),
                     .query_stride = in[0].strides[0],
                     .out_stride = call.outputs[0].strides[0],
                     .key_cache = in[1].data,
                     .value_cache = in[2].data,
                     .cache_dtype = in[1].dtype,
                     .query_start = in[3].as<int32_t>(),
                     .kv_lengths = in[4].as<int32_t>(),
                     .page_table = in[5].as<int32_t>(),
                     .num_sequences = in[6].as<int32_t>(),
                     .max_pages = in[5].shape[1],
                     .kv_heads = cache[1],
                     .group_size = num_heads / cache[1],
                     .page_size = cache[2],
                     .head_dim = cache[3],
                     .scale = static_cast<float>(call.attributes.get_float("scale") * kLog2E),
                     .scratch = call.workspace.as<float>(),
                     .partials = nullptr};
  const int64_t padded_dim = padded_head_dim(work.head_dim);
  work.partials = work.scratch + kMaxWorkers * AttentionScratch::num_floats(padded_dim);
  CpuStream& stream = cpu_stream(call.stream);
  stream.launch([work](const Worker& worker) { HWY_DYNAMIC_DISPATCH(RunAttention)(work, worker); });
  stream.launch([work](const Worker& worker) { HWY_DYNAMIC_DISPATCH(MergeAttention)(work, worker); });
}

}  // namespace

void add_attention_cpu(OpRegistry& registry) {
  registry.add_kernel("musaic::paged_attention", {.name = "paged_attention_cpu",
                                                  .device_type = "cpu",
                                                  .supports = supports_paged_attention,
                                                  .run = run_paged_attention,
                                                  .workspace_bytes = workspace_bytes});
}

}  // namespace musaic
#endif
