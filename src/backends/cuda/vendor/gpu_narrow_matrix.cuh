#pragma once

#include <cstdint>

#include "backends/cuda/vendor/gpu_vendor.h"

// Products of a warp's matrix unit whose factors stay in registers.
namespace musaic {

// sum += left · right by a warp, all of them spread over the lanes in a known order: left [16, 16], right
// [16, 8], sum [16, 8] in float32. Lane 4 · g + t holds, two 16-bit values a word, the lower one first,
//   left   rows g, g + 8, g, g + 8 at the columns 2t, 2t + 1, of the last two at 2t + 8, 2t + 9
//   right  rows 2t, 2t + 1, then 2t + 8, 2t + 9, of column g
//   sum    columns 2t, 2t + 1 of row g, then of row g + 8
// Which rows of `right` go with which columns of `left` is the caller's: any order of k will do.
//
// A sum that is only added to is made by add_unordered; its values lie where the vendor's unit has them until
// order(), which every lane calls, has brought them here. This unit has them here already.
struct OrderedSum {
  static __device__ void order(float (&)[4]) {}
};
struct Bf16Product : OrderedSum {
  static __device__ void add_unordered(float (&sum)[4], const uint32_t (&left)[4],
                                       const uint32_t (&right)[2]) {
    add(sum, left, right);
  }
  static __device__ void add(float (&sum)[4], const uint32_t (&left)[4], const uint32_t (&right)[2]) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[0]), "r"(right[1]));
  }
};
struct F16Product : OrderedSum {
  static __device__ void add_unordered(float (&sum)[4], const uint32_t (&left)[4],
                                       const uint32_t (&right)[2]) {
    add(sum, left, right);
  }
  static __device__ void add(float (&sum)[4], const uint32_t (&left)[4], const uint32_t (&right)[2]) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[0]), "r"(right[1]));
  }
};

}  // namespace musaic
