#pragma once

#include "backends/cuda/vendor/hopper.cuh"

// Products whose right factor has few rows.
namespace musaic {

template <>
struct Fp8Product<8> {
  static __device__ void add(float (&s)[4], uint64_t left, uint64_t right, bool keep) {
    asm volatile(
        "{.reg .pred keep;\n"
        "setp.ne.b32 keep, %6, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n8k32.f32.e4m3.e4m3 {%0, %1, %2, %3}, %4, %5, keep, 1, 1;}"
        : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])
        : "l"(left), "l"(right), "r"(static_cast<int>(keep)));
  }
};
template <>
struct Fp8Product<16> {
  static __device__ void add(float (&s)[8], uint64_t left, uint64_t right, bool keep) {
    asm volatile(
        "{.reg .pred keep;\n"
        "setp.ne.b32 keep, %10, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n16k32.f32.e4m3.e4m3 {"
        "%0, %1, %2, %3, %4, %5, %6, %7}, "
        "%8, %9, keep, 1, 1;}"
        : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]), "+f"(s[7])
        : "l"(left), "l"(right), "r"(static_cast<int>(keep)));
  }
};

}  // namespace musaic
