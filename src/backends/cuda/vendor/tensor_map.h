#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace musaic {

// Where the tiles of a tensor lie, for copy_tile: a kernel takes it by value, as a `const __grid_constant__`.
using TensorMap = CUtensorMap;

// Bytes [planes, rows, columns], rows and planes this far apart. REQUIRES: address, columns and distances are
// multiples of 16.
struct ByteRows {
  const void* data;
  int64_t planes;
  int64_t rows;
  int64_t columns;
  int64_t plane_bytes;
  int64_t row_bytes;
};

// cuTensorMapEncodeTiled as the driver has it; null: it does not.
inline decltype(&cuTensorMapEncodeTiled) find_map_encoder() {
  constexpr unsigned kFirstVersion = 12000;
  void* encode = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  const bool has = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &encode, kFirstVersion,
                                                    cudaEnableDefault, &found) == cudaSuccess &&
                   found == cudaDriverEntryPointSuccess;
  return has ? reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(encode) : nullptr;
}

// The map in tiles of `tile_planes` × `tile_rows` × 128 bytes, swizzled. False: the driver cannot make it.
// REQUIRES: sizes of a tile are at most 256.
inline bool map_byte_rows(TensorMap& map, const ByteRows& bytes, unsigned tile_planes, unsigned tile_rows) {
  static const auto encode = find_map_encoder();
  if (encode == nullptr) return false;
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(bytes.columns), static_cast<cuuint64_t>(bytes.rows),
                              static_cast<cuuint64_t>(bytes.planes)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(bytes.row_bytes),
                                static_cast<cuuint64_t>(bytes.plane_bytes)};
  const cuuint32_t tile[] = {128, tile_rows, tile_planes};
  const cuuint32_t steps[] = {1, 1, 1};
  return encode(&map, CU_TENSOR_MAP_DATA_TYPE_UINT8, 3, const_cast<void*>(bytes.data), sizes, strides, tile,
                steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

// The same of contiguous bytes, in tiles of one plane.
inline bool map_byte_rows(TensorMap& map, const void* data, int64_t planes, int64_t rows, int64_t columns,
                          unsigned tile_rows) {
  return map_byte_rows(map, {data, planes, rows, columns, rows * columns, columns}, 1, tile_rows);
}

}  // namespace musaic
