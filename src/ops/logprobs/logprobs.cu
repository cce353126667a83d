#include "gpu_launch.cuh"
#include "ops/logprobs/logprobs_gpu.h"
#include "ops/sample/row_select_gpu.cuh"

namespace musaic {
namespace {

__device__ int64_t clamped(int64_t value, int64_t most) {
  return value < 0 ? 0 : (value > most ? most : value);
}

// log_softmax of one row; the normaliser is kept in double.
struct RowLogprobs {
  RowLogits row;
  bool has_finite;
  double normalizer;

  __device__ float at(int64_t id) const {
    if (id < 0 || id >= row.size || !has_finite) return lowest_logit();
    return static_cast<float>(static_cast<double>(row.clean(id)) - normalizer);
  }
};

__device__ float largest_logit(RowMemory& memory, const RowLogits& row) {
  TokenOrder best = ~TokenOrder{0};
  for_each_token(row, [&](float logit, int64_t id) {
    const TokenOrder order = token_order(logit, id);
    if (order < best) best = order;
  });
  return logit_of(block_min(best, memory.scratch));
}

__device__ RowLogprobs normalize(RowMemory& memory, const RowLogits& row, const WeightScale& weights) {
  Quanta sum = 0;
  for_each_token(row, [&](float logit, int64_t) { sum += quanta_of(exp_weight(weights.exponent(logit))); });
  const double total = static_cast<double>(block_scan(sum, memory.scratch).total) / kQuantaInOne;
  return {row, weights.max != lowest_logit(), static_cast<double>(weights.max) + log(total)};
}

__device__ void write_top(RowMemory& memory, const LogprobsCall& call, int64_t index, int64_t num_top,
                          const RowLogprobs& logprobs, const WeightScale& weights) {
  const RowLogits& row = logprobs.row;
  const int64_t wanted = num_top < row.size ? num_top : row.size;
  const int32_t last = select_prefix(memory, row, weights, {wanted, 0}).last;
  const TokenOrder limit = token_order(row.clean(last), last);
  const int found = collect(memory, {row}, kBins - 1, memory.window.orders,
                            [&](float logit, int64_t id) { return token_order(logit, id) <= limit; });
  sort_window(memory.window, found, weights, memory.scratch);
  for (int64_t i = threadIdx.x; i < num_top; i += kRowThreads) {
    const int32_t id = i < found ? id_of(memory.window.orders[i]) : -1;  // a vocabulary smaller than top_n
    call.top_ids[index * call.max_top_n + i] = id;
    call.top_logprobs[index * call.max_top_n + i] = logprobs.at(id);
  }
}

// A block a row.
__global__ void __launch_bounds__(kRowThreads) write_logprobs(LogprobsCall call, bool aligned) {
  __shared__ RowMemory memory;
  wait_for_previous_kernel();
  const int64_t index = blockIdx.x;
  if (index >= live_count(call.live_rows, call.rows)) return;
  const int32_t target = call.target[index];
  const int64_t num_top = clamped(call.top_n[index], call.max_top_n);
  const int64_t num_probes = clamped(call.probe_count[index], call.max_probes);
  if (target < 0 && threadIdx.x == 0) call.target_logprob[index] = 0.0f;
  if (target < 0 && num_top == 0 && num_probes == 0) return;

  const RowLogits row = {call.logits + index * call.logits_stride, call.vocab, aligned};
  const WeightScale weights = {largest_logit(memory, row), 1.0f};
  const RowLogprobs logprobs = normalize(memory, row, weights);
  if (target >= 0 && threadIdx.x == 0) call.target_logprob[index] = logprobs.at(target);
  for (int64_t i = threadIdx.x; i < num_probes; i += kRowThreads)
    call.probe_logprobs[index * call.max_probes + i] =
        logprobs.at(call.probe_ids[index * call.probe_stride + i]);
  if (num_top > 0) write_top(memory, call, index, num_top, logprobs, weights);
}

}  // namespace

int64_t logprobs_max_top_n() {
  return kWindow;
}

void launch_logprobs(const LogprobsCall& call, gpuStream_t stream) {
  const bool aligned = has_aligned_rows(call.logits, call.rows, call.logits_stride);
  launch_kernel(write_logprobs, dim3(static_cast<unsigned>(call.rows)), dim3(kRowThreads), stream, call,
                aligned);
}

}  // namespace musaic
