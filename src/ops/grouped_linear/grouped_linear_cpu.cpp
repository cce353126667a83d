#include "ops/grouped_linear/grouped_linear.h"

#include <algorithm>

#include "backends/cpu/cpu_stream.h"
#include "ir/registry.h"
#include "ops/grouped_linear/expert_rows_cpu.h"
#include "ops/linear/float_linear_cpu.h"
#include "ops/linear_fp8/fp8_rows_cpu.h"

namespace musaic {
namespace {

// One call over rows that are grouped and in float32. `linear` is expert 0's, without its rows.
struct GroupedLinearWork {
  ExpertRowsCpu groups;
  FloatRows x;
  FloatRows y;
  FloatLinearWork linear;
  int64_t scale_rows;  // of one expert

  FloatLinearWork of_expert(int64_t expert) const {
    FloatLinearWork work = linear;
    work.x = rows_of(x, expert);
    work.y = rows_of(y, expert);
    work.weight = linear.weight_row(expert * y.width);
    if (linear.weight_scale != nullptr)
      work.weight_scale = linear.weight_scale + expert * scale_rows * linear.scale_columns;
    return work;
  }
  FloatRows rows_of(FloatRows rows, int64_t expert) const {
    rows.data = rows.row(groups.start[expert]);
    rows.outer = groups.count[expert];
    return rows;
  }
};

// Experts times ranges of columns: every weight of an expert with rows is read once.
void run_experts(const GroupedLinearWork& work, const Worker& worker) {
  constexpr int64_t kTasksPerWorker = 2;  // of one expert, so that a step with one is shared too
  const int64_t columns = float_task_columns(work.y.width, work.x.width, kTasksPerWorker * worker.count);
  const int64_t tasks = (work.y.width + columns - 1) / columns;
  for (int64_t index; (index = worker.next_chunk()) < work.groups.num_experts * tasks;) {
    const int64_t expert = index / tasks;
    if (work.groups.count[expert] == 0) continue;
    const int64_t first = index % tasks * columns;
    run_float_task(work.of_expert(expert),
                   {0, work.groups.count[expert], first, std::min(columns, work.y.width - first)});
  }
}

FloatLinearWork linear_of(const Tensor& weight) {
  FloatLinearWork linear = {};
  linear.weight = weight.as<const uint8_t>();
  linear.dtype = weight.dtype;
  linear.weight_row_bytes = byte_size(weight.dtype, weight.shape[2]);
  return linear;
}

FloatRows workspace_rows(const KernelCall& call) {
  return FloatRows::of(Tensor::contiguous(call.workspace.data, DType::kF32,
                                          {call.outputs[0].shape[0], call.inputs[0].shape[1]}));
}

void run_grouped_linear(const KernelCall& call) {
  const auto in = call.inputs;
  GroupedLinearWork work = {.groups = ExpertRowsCpu::of(in[1], in[2], in[3]),
                            .x = FloatRows::of(in[0]),
                            .y = FloatRows::of(call.outputs[0]),
                            .linear = linear_of(in[4]),
                            .scale_rows = 0};
  CpuStream& stream = cpu_stream(call.stream);
  if (work.groups.row_token != nullptr) {
    const FloatRows tokens = work.x;
    work.x = workspace_rows(call);
    stream.launch([tokens, groups = work.groups, x = work.x](const Worker& worker) {
      groups.for_each_row(worker, [&](int64_t row) {
        std::copy_n(tokens.row(groups.row_token[row]), tokens.width, x.row(row));
      });
    });
  }
  stream.launch([work](const Worker& worker) { run_experts(work, worker); });
}

void run_grouped_linear_fp8(const KernelCall& call) {
  const auto in = call.inputs;
  GroupedLinearWork work = {.groups = ExpertRowsCpu::of(in[2], in[3], in[4]),
                            .x = workspace_rows(call),
                            .y = FloatRows::of(call.outputs[0]),
                            .linear = linear_of(in[5]),
                            .scale_rows = in[6].shape[1]};
  work.linear.weight_scale = in[6].as<const float>();
  work.linear.scale_columns = in[6].shape[2];
  work.linear.part_rows = work.y.width / call.attributes.get_int("parts");
  CpuStream& stream = cpu_stream(call.stream);
  const Fp8RowsCpu q = Fp8RowsCpu::of(in[0], in[1]);
  stream.launch([q, groups = work.groups, x = work.x](const Worker& worker) {
    groups.for_each_row(worker, [&](int64_t row) {
      expand_fp8_row(q, groups.row_token == nullptr ? row : groups.row_token[row], x.row(row));
    });
  });
  stream.launch([work](const Worker& worker) { run_experts(work, worker); });
}

// The rows, grouped and in float32.
Dim grouped_row_bytes(const KernelQuery& query) {
  return query.outputs[0]->dim(0) * query.inputs[0]->dim(1) * int64_t{sizeof(float)};
}

Dim gather_bytes(const KernelQuery& query) {
  return query.inputs[1] == nullptr ? Dim(0) : grouped_row_bytes(query);
}

}  // namespace

void add_grouped_linear_cpu(OpRegistry& registry) {
  registry.add_kernel("musaic::grouped_linear", {.name = "grouped_linear_cpu",
                                                 .device_type = "cpu",
                                                 .run = run_grouped_linear,
                                                 .workspace_bytes = gather_bytes});
  registry.add_kernel("musaic::grouped_linear_fp8", {.name = "grouped_linear_fp8_cpu",
                                                     .device_type = "cpu",
                                                     .run = run_grouped_linear_fp8,
                                                     .workspace_bytes = grouped_row_bytes});
}

}  // namespace musaic
