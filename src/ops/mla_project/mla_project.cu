#include "gpu_launch.cuh"
#include "ops/mla_attention/kv_b_gpu.cuh"
#include "ops/mla_project/mla_project_gpu.h"

// Projections of any size: a thread for each value of the result.
namespace musaic {
namespace {

constexpr int kThreads = 128;

// The thread's place: a row, a head and a value of it.
struct HeadPlace {
  int64_t row;
  int head;
  int value;

  static __device__ bool find(const MlaProjectCall& call, HeadPlace* place) {
    const int64_t column = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
    place->row = blockIdx.y;
    if (column >= call.out.width || place->row >= live_count(call.live_rows, call.rows.outer)) return false;
    const int64_t width = call.out.width / call.heads;
    place->head = static_cast<int>(column / width);
    place->value = static_cast<int>(column % width);
    return true;
  }
  __device__ const float* of_rows(const MlaProjectCall& call) const {
    return row_of<const float>(call.rows, row) + head * (call.rows.width / call.heads);
  }
  __device__ float& of_out(const MlaProjectCall& call) const {
    return row_of<float>(call.out, row)[head * (call.out.width / call.heads) + value];
  }
  __device__ int64_t first_kv_row(const MlaProjectCall& call) const {
    return static_cast<int64_t>(head) * (call.kv_b.nope + call.kv_b.value_dim);
  }
};

__global__ void __launch_bounds__(kThreads) absorb_plain(MlaProjectCall call) {
  wait_for_previous_kernel();
  HeadPlace place;
  if (!HeadPlace::find(call, &place)) return;
  const KvBGpu& kv_b = call.kv_b;
  const float* query = place.of_rows(call);
  if (place.value >= kv_b.rank) {
    place.of_out(call) = query[kv_b.nope + place.value - kv_b.rank];
    return;
  }
  float sum = 0.0f;
  for (int i = 0; i < kv_b.nope; ++i)
    sum = fmaf(query[i], kv_b_value(kv_b, place.first_kv_row(call) + i, place.value), sum);
  place.of_out(call) = sum;
}

__global__ void __launch_bounds__(kThreads) expand_plain(MlaProjectCall call) {
  wait_for_previous_kernel();
  HeadPlace place;
  if (!HeadPlace::find(call, &place)) return;
  const float* attended = place.of_rows(call);
  const int64_t kv_row = place.first_kv_row(call) + call.kv_b.nope + place.value;
  float sum = 0.0f;
  for (int i = 0; i < call.kv_b.rank; ++i) sum = fmaf(attended[i], kv_b_value(call.kv_b, kv_row, i), sum);
  place.of_out(call) = sum;
}

dim3 grid_of(const MlaProjectCall& call) {
  return dim3(static_cast<unsigned>((call.out.width + kThreads - 1) / kThreads),
              static_cast<unsigned>(call.rows.outer));
}

}  // namespace

void launch_absorb_plain(const MlaProjectCall& call, gpuStream_t stream) {
  launch_kernel(absorb_plain, grid_of(call), kThreads, stream, call);
}

void launch_expand_plain(const MlaProjectCall& call, gpuStream_t stream) {
  launch_kernel(expand_plain, grid_of(call), kThreads, stream, call);
}

}  // namespace musaic
