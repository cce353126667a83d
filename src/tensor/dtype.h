#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace musaic {

// Element types. The block-quantized ones (GGUF's) store `block_elements` values in `block_bytes` bytes along
// the last dimension; a shape always counts values.
enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kF8E4M3,
  kI64,
  kI32,
  kI16,
  kI8,
  kU8,
  kBool,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ4_K,
  kQ5_K,
  kQ6_K,
};

struct DTypeInfo {
  std::string_view name;  // "f32", "q4_1", ...
  int block_elements;
  int block_bytes;
};

const DTypeInfo& dtype_info(DType dtype);
inline std::string_view name(DType dtype) {
  return dtype_info(dtype).name;
}
std::optional<DType> parse_dtype(std::string_view name);
bool is_block_quantized(DType dtype);

// Bytes of `elements` contiguous values. REQUIRES: elements is a multiple of the block size.
size_t byte_size(DType dtype, int64_t elements);

}  // namespace musaic
