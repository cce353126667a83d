#pragma once

#include "backends/cuda/vendor/hopper.cuh"

// Factors of products in registers (gpu_narrow_matrix.cuh) out of shared memory.
namespace musaic {

// Four matrices of 8 rows of 16 bytes; lane l has the address of row l % 8 of matrix l / 8. Lane 4g + t gets
// the values 2t and 2t + 1 of row g of each.
__device__ inline void load_matrices(const uint8_t* row, uint32_t (&words)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(shared_address(row))
               : "memory");
}
// Of matrices of 16-bit values lane 4g + t gets those of the rows 2t and 2t + 1 in column g.
__device__ inline void load_transposed_matrices(const uint8_t* row, uint32_t (&words)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(shared_address(row))
               : "memory");
}

}  // namespace musaic
