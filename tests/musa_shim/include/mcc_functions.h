#pragma once

#include <cuda_runtime.h>

#include <cstdint>

// Functions of mcc's own for the matrix unit of mp_31, by NVIDIA's unit with the values brought to the lanes
// in which MUTLASS says that MUSA has them.

// sum = left · right + added, [16, 16] by [16, 8] with float32 sums.
__device__ inline void __musa_wmma_m16n8k16_mma(int* sum, const int* left, const int* right, const int* added,
                                                int, int, int, int saturates, int format, int layout,
                                                int type) {
  constexpr int kF16 = 2, kBf16 = 3, kNeighboursAlongK = 1;
  if (saturates != 0 || format != 0 || layout != kNeighboursAlongK || (type != kF16 && type != kBf16))
    __trap();
  float quads[4] = {};  // rows g, g + 8 at columns 2t, 2t + 1 in lane 4g + t
  if (type == kF16) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(quads[0]), "+f"(quads[1]), "+f"(quads[2]), "+f"(quads[3])
        : "r"(left[0]), "r"(left[2]), "r"(left[1]), "r"(left[3]), "r"(right[0]), "r"(right[1]));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(quads[0]), "+f"(quads[1]), "+f"(quads[2]), "+f"(quads[3])
        : "r"(left[0]), "r"(left[2]), "r"(left[1]), "r"(left[3]), "r"(right[0]), "r"(right[1]));
  }
  // To rows q, q + 4, q + 8, q + 12 of column n in lane 8q + n.
  const int lane = static_cast<int>(threadIdx.x % 32);
  const bool gives_odd = lane >= 16, is_odd = lane % 2 != 0;
  const int row = lane / 8, t = lane % 8 / 2;
  const int near_lane = 4 * row + t, far_lane = near_lane + 16;
#pragma unroll
  for (int i = 0; i < 4; i += 2) {
    const float a =
        __shfl_sync(0xffffffffu, gives_odd ? quads[i + 1] : quads[i], is_odd ? far_lane : near_lane);
    const float b =
        __shfl_sync(0xffffffffu, gives_odd ? quads[i] : quads[i + 1], is_odd ? near_lane : far_lane);
    sum[i] = __float_as_int(__int_as_float(added[i]) + (is_odd ? b : a));
    sum[i + 1] = __float_as_int(__int_as_float(added[i + 1]) + (is_odd ? a : b));
  }
}
