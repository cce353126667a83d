#include "ops/mla_project/mla_project.h"

#include <algorithm>

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/highway_targets.h"
#include "ir/registry.h"
#include "ops/mla_attention/kv_b_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/mla_project/mla_project_cpu.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "backends/cpu/simd.inl"
#include "hwy/highway.h"

#ifndef MUSAIC_OPS_MLA_PROJECT_CPU
#define MUSAIC_OPS_MLA_PROJECT_CPU
namespace musaic {

constexpr int64_t kMaxRank = 1024;  // a row of kv_b lies on the stack

struct MlaProjection {
  FloatRows rows;
  FloatRows out;
  FloatLinearWork kv_b;
  int64_t heads;
  int64_t rank;
  int64_t nope;
  int64_t value_dim;
  const int32_t* live_rows;

  int64_t first_kv_row(int64_t head) const { return head * (nope + value_dim); }
};

}  // namespace musaic
#endif

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {
namespace {

// out += factor · x
void add_scaled(const float* x, float factor, int64_t count, float* out) {
  const auto scale = hn::Set(FloatTag(), factor);
  int64_t i = 0;
  for (; i + static_cast<int64_t>(lanes()) <= count; i += lanes())
    store(hn::MulAdd(scale, load(x + i), load(out + i)), out + i);
  for (; i < count; ++i) out[i] = __builtin_fmaf(factor, x[i], out[i]);
}

}  // namespace

// One head of all rows: kv_b's rows one after the other, each read once.
void AbsorbHead(const MlaProjection& work, int64_t head, int64_t num_rows) {
  HWY_ALIGN float key_row[kMaxRank];
  const int64_t head_dim = work.rows.width / work.heads;
  const int64_t rope = head_dim - work.nope;
  const auto query = [&](int64_t row) { return work.rows.row(row) + head * head_dim; };
  const auto out = [&](int64_t row) { return work.out.row(row) + head * (work.rank + rope); };
  for (int64_t row = 0; row < num_rows; ++row) {
    std::fill_n(out(row), work.rank, 0.0f);
    std::copy_n(query(row) + work.nope, rope, out(row) + work.rank);
  }
  for (int64_t i = 0; i < work.nope; ++i) {
    expand_weight_row(work.kv_b, work.first_kv_row(head) + i, 0, work.rank, key_row);
    for (int64_t row = 0; row < num_rows; ++row) add_scaled(key_row, query(row)[i], work.rank, out(row));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace musaic {
namespace {

HWY_EXPORT(AbsorbHead);

void absorb_heads(const MlaProjection& work, const Worker& worker) {
  const int64_t num_rows = live_count(work.live_rows, work.rows.outer);
  for (int64_t head; (head = worker.next_chunk()) < work.heads;)
    HWY_DYNAMIC_DISPATCH(AbsorbHead)(work, head, num_rows);
}

// A head's columns of rows that hold `width` values a head.
FloatRows head_of(FloatRows rows, int64_t head, int64_t width) {
  rows.data += head * width;
  rows.width = width;
  return rows;
}

void expand_heads(const MlaProjection& work, const Worker& worker) {
  const int64_t num_rows = live_count(work.live_rows, work.rows.outer);
  if (num_rows <= 0) return;
  const int64_t columns = float_task_columns(work.value_dim, work.rank, worker.count);
  const int64_t tasks_a_head = (work.value_dim + columns - 1) / columns;
  for (int64_t task; (task = worker.next_chunk()) < work.heads * tasks_a_head;) {
    const int64_t head = task / tasks_a_head;
    const int64_t first = task % tasks_a_head * columns;
    FloatLinearWork linear = work.kv_b;
    linear.x = head_of(work.rows, head, work.rank);
    linear.y = head_of(work.out, head, work.value_dim);
    linear.first_weight_row = work.first_kv_row(head) + work.nope;
    run_float_task(linear, {0, num_rows, first, std::min(columns, work.value_dim - first)});
  }
}

MlaProjection projection_of(const KernelCall& call) {
  const Tensor& kv_b = call.inputs[1];
  MlaProjection work = {.rows = FloatRows::of(call.inputs[0]),
                        .out = FloatRows::of(call.outputs[0]),
                        .kv_b = kv_b_of(kv_b, call.inputs[2]),
                        .heads = call.attributes.get_int("num_heads"),
                        .rank = kv_b.shape[1],
                        .nope = 0,
                        .value_dim = call.attributes.get_int("v_head_dim"),
                        .live_rows = call.live_rows};
  work.nope = kv_b.shape[0] / work.heads - work.value_dim;
  return work;
}

void run_absorb(const KernelCall& call) {
  cpu_stream(call.stream).launch([work = projection_of(call)](const Worker& worker) {
    absorb_heads(work, worker);
  });
}

void run_expand(const KernelCall& call) {
  cpu_stream(call.stream).launch([work = projection_of(call)](const Worker& worker) {
    expand_heads(work, worker);
  });
}

bool supports(const KernelQuery& query) {
  return query.inputs[0]->dtype == DType::kF32 && query.inputs[1]->dim(1).constant() <= kMaxRank;
}

}  // namespace

void add_mla_project_cpu(OpRegistry& registry) {
  registry.add_kernel(
      "musaic::mla_absorb_query",
      {.name = "mla_absorb_query_cpu", .device_type = "cpu", .supports = supports, .run = run_absorb});
  registry.add_kernel(
      "musaic::mla_expand_values",
      {.name = "mla_expand_values_cpu", .device_type = "cpu", .supports = supports, .run = run_expand});
}

}  // namespace musaic
#endif
