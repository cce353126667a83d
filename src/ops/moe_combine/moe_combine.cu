#include "gpu_launch.cuh"
#include "ops/moe_combine/combine_gpu.cuh"

namespace musaic {
namespace {

__global__ void combine_tokens(MoeCombineCall call, unsigned blocks_a_row, bool whole) {
  constexpr int N = kPackWidth<float>;
  wait_for_previous_kernel();
  const PackPlace place = my_pack(blocks_a_row);
  const int64_t column = place.pack * N;
  if (column >= call.y.width || place.row >= live_count(call.live_rows, call.y.outer)) return;
  float sum[N];
  TokenChoices choices;
  choices.load(call, place.row, 0);
  combine_pack<float>(call, choices, place.row, column, whole, sum);
  store_pack(sum, row_of<float>(call.y, place.row) + column, call.y.width - column, whole);
}

}  // namespace

void launch_moe_combine(const MoeCombineCall& call, gpuStream_t stream) {
  constexpr int N = kPackWidth<float>;
  const bool whole = has_whole_packs<float, N>(call.x) && has_whole_packs<float, N>(call.addend) &&
                     has_whole_packs<float, N>(call.y);
  const RowGrid shape = RowGrid::of(call.y.outer, (call.y.width + N - 1) / N);
  launch_kernel(combine_tokens, shape.grid, shape.block, stream, call, shape.blocks_a_row, whole);
}

}  // namespace musaic
