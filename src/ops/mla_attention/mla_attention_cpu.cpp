#include "ops/mla_attention/mla_attention.h"

#include <algorithm>

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/highway_targets.h"
#include "ir/registry.h"
#include "ops/mla_attention/kv_b_cpu.h"
#include "ops/mla_attention/mla_work_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/mla_attention/mla_attention_cpu.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "backends/cpu/simd.inl"
#include "hwy/highway.h"
#include "ops/linear/dot_tile_cpu.inl"
#include "ops/mla_attention/mla_block_cpu.inl"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {
namespace {

constexpr int64_t kRowTile = 32;  // query rows whose scores of one block are there at once

// One block of positions of one sequence and head.
struct ExpandedBlock {
  int64_t begin;
  int64_t count;
  const float* latents;   // [count, width]
  const float* expanded;  // [count, nope + v]
};

// Rows [first, first + count) of the sequence, at most kRowTile, go on over a block that they all see.
void attend_rows(const MlaExpandedWork& work, int32_t sequence, int64_t head, const ExpandedBlock& block,
                 int64_t first, int64_t count) {
  HWY_ALIGN float scores[kRowTile * kMlaBlock];
  float rescale[kRowTile];
  const int64_t token = work.cache.query_start[sequence] + first;
  const int64_t expanded_width = work.nope + work.value_dim;
  FloatTile tile = {.x = work.query.row(token) + head * work.head_dim(),
                    .x_stride = work.query.outer_stride,
                    .weight = block.expanded,
                    .weight_stride = expanded_width,
                    .k = work.nope,
                    .y = scores,
                    .y_stride = kMlaBlock,
                    .is_first = true};
  dot_rows(tile, count, block.count);
  tile.x += work.nope;
  tile.weight = block.latents + work.rank;
  tile.weight_stride = work.cache.width;
  tile.k = work.cache.width - work.rank;
  tile.is_first = false;
  dot_rows(tile, count, block.count);
  const int64_t position = work.cache.first_position(sequence) + first;
  int64_t visible = 0;
  for (int64_t row = 0; row < count; ++row) {
    visible = std::min(block.count, position + row + 1 - block.begin);
    rescale[row] = advance_softmax(scores + row * kMlaBlock, visible, work.scale,
                                   work.states[(token + row) * work.heads + head]);
  }
  add_weighted({.weights = scores,
                .rescale = rescale,
                .values = block.expanded + work.nope,
                .value_stride = expanded_width,
                .positions = visible,
                .width = work.value_dim,
                .out = work.out.row(token) + head * work.value_dim,
                .out_stride = work.out.outer_stride},
               count);
}

void round_latents_to_f8(const MlaExpandedWork& work, int64_t count, float* latents) {
  constexpr int64_t kGroup = 128;
  for (int64_t row = 0; row < count; ++row) {
    for (int64_t i = 0; i < work.rank; i += kGroup)
      round_group_to_f8(latents + row * work.cache.width + i, std::min(kGroup, work.rank - i));
  }
}

}  // namespace

void AttendHead(const MlaExpandedWork& work, int32_t sequence, int64_t head) {
  HWY_ALIGN float latents[kMlaBlock * kMlaMaxWidth];
  HWY_ALIGN float expanded[kMlaBlock * kMlaMaxExpanded];
  const MlaCache& cache = work.cache;
  const int64_t first_token = cache.query_start[sequence];
  const int64_t num_rows = cache.num_rows(sequence);
  const int64_t first_position = cache.first_position(sequence);
  const int64_t expanded_width = work.nope + work.value_dim;
  const auto out_row = [&](int64_t row) { return work.out.row(first_token + row) + head * work.value_dim; };
  const auto state = [&](int64_t row) -> MlaRowState& {
    return work.states[(first_token + row) * work.heads + head];
  };
  for (int64_t row = 0; row < num_rows; ++row) {
    state(row) = kNothingSeen;
    std::fill_n(out_row(row), work.value_dim, 0.0f);
  }
  for (int64_t begin = 0; begin < cache.kv_lengths[sequence]; begin += kMlaBlock) {
    const int64_t count = std::min(kMlaBlock, cache.kv_lengths[sequence] - begin);
    load_latents(cache, sequence, begin, count, latents);
    if (work.quantizes) round_latents_to_f8(work, count, latents);
    dot_rows({.x = latents,
              .x_stride = cache.width,
              .weight = work.kv_b + head * expanded_width * work.rank,
              .weight_stride = work.rank,
              .k = work.rank,
              .y = expanded,
              .y_stride = expanded_width,
              .is_first = true},
             count, expanded_width);
    const ExpandedBlock block = {begin, count, latents, expanded};
    for (int64_t row = std::max<int64_t>(0, begin - first_position); row < num_rows; row += kRowTile)
      attend_rows(work, sequence, head, block, row, std::min(kRowTile, num_rows - row));
  }
  for (int64_t row = 0; row < num_rows; ++row) divide_row(out_row(row), work.value_dim, state(row).weight);
}

void AttendLatents(const MlaAbsorbedWork& work, const MlaHeads& heads) {
  HWY_ALIGN float latents[kMlaBlock * kMlaMaxWidth];
  HWY_ALIGN float scores[MlaHeads::kMax * kMlaBlock];
  float rescale[MlaHeads::kMax];
  MlaRowState states[MlaHeads::kMax];
  const MlaCache& cache = work.cache;
  const int64_t token = cache.query_start[heads.sequence] + heads.row;
  const int64_t num_seen = cache.first_position(heads.sequence) + heads.row + 1;
  float* out = work.out.row(token) + heads.first * work.rank;
  std::fill_n(states, heads.count, kNothingSeen);
  std::fill_n(out, heads.count * work.rank, 0.0f);
  for (int64_t begin = 0; begin < num_seen; begin += kMlaBlock) {
    const int64_t count = std::min(kMlaBlock, num_seen - begin);
    load_latents(cache, heads.sequence, begin, count, latents);
    dot_rows({.x = work.query.row(token) + heads.first * cache.width,
              .x_stride = cache.width,
              .weight = latents,
              .weight_stride = cache.width,
              .k = cache.width,
              .y = scores,
              .y_stride = kMlaBlock,
              .is_first = true},
             heads.count, count);
    for (int64_t head = 0; head < heads.count; ++head)
      rescale[head] = advance_softmax(scores + head * kMlaBlock, count, work.scale, states[head]);
    add_weighted({.weights = scores,
                  .rescale = rescale,
                  .values = latents,
                  .value_stride = cache.width,
                  .positions = count,
                  .width = work.rank,
                  .out = out,
                  .out_stride = work.rank},
                 heads.count);
  }
  for (int64_t head = 0; head < heads.count; ++head)
    divide_row(out + head * work.rank, work.rank, states[head].weight);
}

}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace musaic {
namespace {

HWY_EXPORT(AttendHead);
HWY_EXPORT(AttendLatents);

void attend_expanded(const MlaExpandedWork& work, const Worker& worker) {
  const int64_t num_units = *work.cache.num_sequences * work.heads;
  for (int64_t unit; (unit = worker.next_chunk()) < num_units;)
    HWY_DYNAMIC_DISPATCH(AttendHead)(work, static_cast<int32_t>(unit / work.heads), unit % work.heads);
}

// Heads a unit: few where there are few rows for the workers.
int64_t heads_per_unit(const MlaAbsorbedWork& work, int64_t num_rows, int64_t num_workers) {
  constexpr int64_t kStep = 4;  // rows of a tile
  const int64_t shared = num_rows * work.heads / num_workers;
  return std::clamp((shared + kStep - 1) / kStep * kStep, kStep, MlaHeads::kMax);
}

void attend_absorbed(const MlaAbsorbedWork& work, const Worker& worker) {
  const int32_t num_sequences = *work.cache.num_sequences;
  const int64_t num_rows = num_sequences == 0 ? 0 : work.cache.query_start[num_sequences];
  const int64_t group = heads_per_unit(work, num_rows, worker.count);
  const int64_t groups = (work.heads + group - 1) / group;
  int32_t sequence = 0;
  for (int64_t unit; (unit = worker.next_chunk()) < num_rows * groups;) {
    const int64_t token = unit / groups;
    while (token >= work.cache.query_start[sequence + 1]) ++sequence;
    MlaHeads heads = {sequence, token - work.cache.query_start[sequence], unit % groups * group, 0};
    heads.count = std::min(group, work.heads - heads.first);
    HWY_DYNAMIC_DISPATCH(AttendLatents)(work, heads);
  }
}

MlaCache cache_of(const KernelCall& call) {
  return MlaCache::of(call.inputs[1], call.inputs[2], call.inputs[3], call.inputs[4], call.inputs[5]);
}

size_t round_up_to_line(size_t bytes) {
  constexpr size_t kLine = 64;
  return (bytes + kLine - 1) / kLine * kLine;
}

// The workspace: softmax states of all rows and heads, then kv_b in float32 unless it is.
void run_expanded(const KernelCall& call) {
  const Tensor& kv_b = call.inputs[6];
  const FloatLinearWork weight = kv_b_of(kv_b, call.inputs[7]);
  const int64_t heads = call.attributes.get_int("num_heads");
  const int64_t tokens = call.inputs[0].shape[0];
  const size_t states_bytes = round_up_to_line(static_cast<size_t>(tokens * heads) * sizeof(MlaRowState));
  auto* expanded = reinterpret_cast<float*>(call.workspace.as<std::byte>() + states_bytes);
  const bool is_float = kv_b.dtype == DType::kF32;
  MlaExpandedWork work = {.query = FloatRows::of(call.inputs[0]),
                          .out = FloatRows::of(call.outputs[0]),
                          .cache = cache_of(call),
                          .kv_b = is_float ? kv_b.as<const float>() : expanded,
                          .quantizes = kv_b.dtype == DType::kF8E4M3,
                          .heads = heads,
                          .rank = kv_b.shape[1],
                          .nope = 0,
                          .value_dim = call.outputs[0].shape[1] / heads,
                          .scale = static_cast<float>(call.attributes.get_float("scale")),
                          .states = call.workspace.as<MlaRowState>()};
  work.nope = kv_b.shape[0] / heads - work.value_dim;
  CpuStream& stream = cpu_stream(call.stream);
  if (!is_float) {
    const int64_t rows = kv_b.shape[0], rank = work.rank;
    stream.launch([=](const Worker& worker) {
      const IndexRange range = share_of(worker, rows);
      for (int64_t row = range.begin; row < range.end; ++row)
        expand_weight_row(weight, row, 0, rank, expanded + row * rank);
    });
  }
  stream.launch([work](const Worker& worker) { attend_expanded(work, worker); });
}

void run_absorbed(const KernelCall& call) {
  const MlaAbsorbedWork work = {.query = FloatRows::of(call.inputs[0]),
                                .out = FloatRows::of(call.outputs[0]),
                                .cache = cache_of(call),
                                .heads = call.attributes.get_int("num_heads"),
                                .rank = call.attributes.get_int("rank"),
                                .scale = static_cast<float>(call.attributes.get_float("scale"))};
  cpu_stream(call.stream).launch([work](const Worker& worker) { attend_absorbed(work, worker); });
}

bool supports_absorbed(const KernelQuery& query) {
  return query.inputs[0]->dtype == DType::kF32 && query.inputs[1]->dim(3).constant() <= kMlaMaxWidth;
}

bool supports_expanded(const KernelQuery& query) {
  const int64_t kv_head_dim = query.inputs[6]->dim(0).constant() / query.attributes.get_int("num_heads");
  return supports_absorbed(query) && kv_head_dim <= kMlaMaxExpanded;
}

Dim expanded_workspace(const KernelQuery& query) {
  const Meta& kv_b = *query.inputs[6];
  const int64_t state_bytes = query.attributes.get_int("num_heads") * int64_t{sizeof(MlaRowState)};
  const Dim states = round_up(query.inputs[0]->dim(0) * state_bytes, 64);
  return kv_b.dtype == DType::kF32 ? states : states + elements(kv_b.shape) * int64_t{sizeof(float)};
}

}  // namespace

void add_mla_attention_cpu(OpRegistry& registry) {
  registry.add_kernel("musaic::mla_expanded_attention", {.name = "mla_expanded_attention_cpu",
                                                         .device_type = "cpu",
                                                         .supports = supports_expanded,
                                                         .run = run_expanded,
                                                         .workspace_bytes = expanded_workspace});
  registry.add_kernel("musaic::mla_absorbed_attention", {.name = "mla_absorbed_attention_cpu",
                                                         .device_type = "cpu",
                                                         .supports = supports_absorbed,
                                                         .run = run_absorbed});
}

}  // namespace musaic
#endif
