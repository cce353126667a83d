#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace musaic {

// Where the tiles of a tensor lie, for copy_tile: a kernel takes it by value, as a `const __grid_constant__`.
using TensorMap = CUtensorMap;

// The map of contiguous bytes [planes, rows, columns] in tiles of `tile_rows` × 128, swizzled. False: the
// driver cannot make it. REQUIRES: `data` and `columns` are multiples of 16, tile_rows <= 256.
inline bool map_byte_rows(TensorMap& map, const void* data, int64_t planes, int64_t rows, int64_t columns,
                          unsigned tile_rows) {
  constexpr unsigned kFirstVersion = 12000;
  void* encode = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  if (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &encode, kFirstVersion, cudaEnableDefault,
                                       &found) != cudaSuccess ||
      found != cudaDriverEntryPointSuccess)
    return false;
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows),
                              static_cast<cuuint64_t>(planes)};
  const cuuint64_t strides[] = {sizes[0], sizes[0] * sizes[1]};
  const cuuint32_t tile[] = {128, tile_rows, 1};
  const cuuint32_t steps[] = {1, 1, 1};
  return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(encode)(
             &map, CU_TENSOR_MAP_DATA_TYPE_UINT8, 3, const_cast<void*>(data), sizes, strides, tile, steps,
             CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

}  // namespace musaic
