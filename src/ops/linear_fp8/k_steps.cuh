#pragma once

#include <cstdint>

#include "gpu_matrix.cuh"

// Products of FP8 matrices by f16 matrix units, which hold their values exactly. The left matrix is the
// weight, the right one x. Four neighbouring lanes bring 64 values of k of a row, 16 each, and step j of four
// over them takes values 4j .. 4j + 3 of each lane: the order of summation of every FP8 kernel.
namespace musaic {

inline constexpr int kScaleGroup = 128;  // values of k that share a scale
inline constexpr int kPiece = 16;        // of k, of a lane
inline constexpr int kLanesOfRow = 4;
inline constexpr int kHalfGroup = kPiece * kLanesOfRow;
inline constexpr int kSteps = 4;  // of a half group

__device__ inline uint32_t word_of(const uint4& piece, int step) {
  return step == 0 ? piece.x : step == 1 ? piece.y : step == 2 ? piece.z : piece.w;
}

// The left matrix of a step: rows g and g + 8 of 16, g being the lane's number / 4.
__device__ inline void expand_left(const uint4& low_row, const uint4& high_row, int step,
                                   uint32_t (&left)[4]) {
  const uint32_t low = word_of(low_row, step), high = word_of(high_row, step);
  left[0] = f8e4m3_as_f16(low & 0xFFFFu);
  left[1] = f8e4m3_as_f16(high & 0xFFFFu);
  left[2] = f8e4m3_as_f16(low >> 16);
  left[3] = f8e4m3_as_f16(high >> 16);
}

// The right one: column g of 8.
__device__ inline void expand_right(const uint4& row, int step, uint32_t (&right)[2]) {
  const uint32_t word = word_of(row, step);
  right[0] = f8e4m3_as_f16(word & 0xFFFFu);
  right[1] = f8e4m3_as_f16(word >> 16);
}

}  // namespace musaic
