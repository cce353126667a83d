#include "tensor/dequantize.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "tensor/half.h"

namespace musaic {
namespace {

// The blocks as they lie in the file. d and m are f16: a scale and an offset ("min").
constexpr int kBlock = 32;
constexpr int kSuperBlock = 256;  // 8 sub-blocks of 32, or 16 of 16

struct BlockQ4_0 {
  uint16_t d;
  uint8_t nibbles[kBlock / 2];  // low halves: values 0..15, high halves: 16..31
};
struct BlockQ4_1 {
  uint16_t d, m;
  uint8_t nibbles[kBlock / 2];
};
struct BlockQ5_0 {
  uint16_t d;
  uint8_t high_bits[4];  // bit i: the fifth bit of value i
  uint8_t nibbles[kBlock / 2];
};
struct BlockQ5_1 {
  uint16_t d, m;
  uint8_t high_bits[4];
  uint8_t nibbles[kBlock / 2];
};
struct BlockQ8_0 {
  uint16_t d;
  int8_t values[kBlock];
};
struct BlockQ4_K {
  uint16_t d, m;
  uint8_t scales[12];                // 8 scales and 8 mins of 6 bits
  uint8_t nibbles[kSuperBlock / 2];  // 32 bytes hold two sub-blocks: low halves, then high halves
};
struct BlockQ5_K {
  uint16_t d, m;
  uint8_t scales[12];
  uint8_t high_bits[kSuperBlock / 8];  // byte l, bit j: the fifth bit of value l of sub-block j
  uint8_t nibbles[kSuperBlock / 2];
};
struct BlockQ6_K {
  uint8_t low_nibbles[kSuperBlock / 2];
  uint8_t high_pairs[kSuperBlock / 4];
  int8_t scales[kSuperBlock / 16];
  uint16_t d;
};

static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22);
static_assert(sizeof(BlockQ5_1) == 24 && sizeof(BlockQ8_0) == 34 && sizeof(BlockQ4_K) == 144);
static_assert(sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210);

int nibble(const uint8_t* nibbles, int i) {
  return i < 16 ? nibbles[i] & 0xF : nibbles[i - 16] >> 4;
}

int fifth_bit(const uint8_t* high_bits, int i) {
  return (high_bits[i / 8] >> (i % 8) & 1) << 4;
}

void dequantize_block(const BlockQ4_0& block, float* out) {
  const float d = f16_to_float(block.d);
  for (int i = 0; i < kBlock; ++i) out[i] = static_cast<float>(nibble(block.nibbles, i) - 8) * d;
}

void dequantize_block(const BlockQ4_1& block, float* out) {
  const float d = f16_to_float(block.d), m = f16_to_float(block.m);
  for (int i = 0; i < kBlock; ++i) out[i] = static_cast<float>(nibble(block.nibbles, i)) * d + m;
}

void dequantize_block(const BlockQ5_0& block, float* out) {
  const float d = f16_to_float(block.d);
  for (int i = 0; i < kBlock; ++i) {
    const int value = nibble(block.nibbles, i) | fifth_bit(block.high_bits, i);
    out[i] = static_cast<float>(value - 16) * d;
  }
}

void dequantize_block(const BlockQ5_1& block, float* out) {
  const float d = f16_to_float(block.d), m = f16_to_float(block.m);
  for (int i = 0; i < kBlock; ++i) {
    const int value = nibble(block.nibbles, i) | fifth_bit(block.high_bits, i);
    out[i] = static_cast<float>(value) * d + m;
  }
}

void dequantize_block(const BlockQ8_0& block, float* out) {
  const float d = f16_to_float(block.d);
  for (int i = 0; i < kBlock; ++i) out[i] = static_cast<float>(block.values[i]) * d;
}

struct ScaleAndMin {
  int scale, min;  // 6 bits each
};

// Sub-blocks 0..3 have their 6 bits in one byte; 4..7 four bits in bytes 8..11, two in the tops of the
// others.
ScaleAndMin unpack_scale(const uint8_t* scales, int j) {
  if (j < 4) return {scales[j] & 63, scales[j + 4] & 63};
  return {(scales[j + 4] & 0xF) | (scales[j - 4] >> 6 << 4), (scales[j + 4] >> 4) | (scales[j] >> 6 << 4)};
}

int k_nibble(const uint8_t* nibbles, int sub_block, int i) {
  const uint8_t byte = nibbles[sub_block / 2 * 32 + i];
  return sub_block % 2 == 0 ? byte & 0xF : byte >> 4;
}

void dequantize_block(const BlockQ4_K& block, float* out) {
  for (int j = 0; j < kSuperBlock / 32; ++j) {
    const ScaleAndMin packed = unpack_scale(block.scales, j);
    const float d = f16_to_float(block.d) * static_cast<float>(packed.scale);
    const float m = f16_to_float(block.m) * static_cast<float>(packed.min);
    for (int i = 0; i < 32; ++i) *out++ = d * static_cast<float>(k_nibble(block.nibbles, j, i)) - m;
  }
}

void dequantize_block(const BlockQ5_K& block, float* out) {
  for (int j = 0; j < kSuperBlock / 32; ++j) {
    const ScaleAndMin packed = unpack_scale(block.scales, j);
    const float d = f16_to_float(block.d) * static_cast<float>(packed.scale);
    const float m = f16_to_float(block.m) * static_cast<float>(packed.min);
    for (int i = 0; i < 32; ++i) {
      const int value = k_nibble(block.nibbles, j, i) | (block.high_bits[i] >> j & 1) << 4;
      *out++ = d * static_cast<float>(value) - m;
    }
  }
}

// Each half of 128 values has 4 groups of 32: group g takes nibbles of bytes (g % 2) * 32 + i, low ones for
// g < 2, and the bit pair g of byte i.
void dequantize_block(const BlockQ6_K& block, float* out) {
  const float d = f16_to_float(block.d);
  for (int i = 0; i < kSuperBlock; ++i) {
    const int half = i / 128, group = i / 32 % 4, lane = i % 32;
    const int low = block.low_nibbles[half * 64 + group % 2 * 32 + lane] >> (group / 2 * 4) & 0xF;
    const int high = block.high_pairs[half * 32 + lane] >> (group * 2) & 3;
    out[i] = d * static_cast<float>(block.scales[i / 16]) * static_cast<float>((low | high << 4) - 32);
  }
}

template <class Block>
void dequantize_blocks(const std::byte* source, float* out, int64_t count, int elements_each) {
  for (int64_t i = 0; i < count; ++i) {
    Block block;
    std::memcpy(&block, source + i * sizeof(Block), sizeof(Block));
    dequantize_block(block, out + i * elements_each);
  }
}

template <class Stored, class Convert>
void convert_each(const std::byte* source, float* out, int64_t elements, Convert convert) {
  for (int64_t i = 0; i < elements; ++i) {
    Stored stored;
    std::memcpy(&stored, source + i * sizeof(Stored), sizeof(Stored));
    out[i] = convert(stored);
  }
}

}  // namespace

void dequantize_row(DType dtype, const std::byte* source, float* out, int64_t elements) {
  const int each = dtype_info(dtype).block_elements;
  CHECK(elements % each == 0, "{} values are no whole blocks of {}", elements, name(dtype));
  const int64_t blocks = elements / each;
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out, source, byte_size(dtype, elements));
      return;
    case DType::kF16:
      return convert_each<uint16_t>(source, out, elements, f16_to_float);
    case DType::kBF16:
      return convert_each<uint16_t>(source, out, elements, bf16_to_float);
    case DType::kF8E4M3:
      return convert_each<uint8_t>(source, out, elements, f8e4m3_to_float);
    case DType::kQ8_0:
      return dequantize_blocks<BlockQ8_0>(source, out, blocks, each);
    case DType::kQ4_0:
      return dequantize_blocks<BlockQ4_0>(source, out, blocks, each);
    case DType::kQ4_1:
      return dequantize_blocks<BlockQ4_1>(source, out, blocks, each);
    case DType::kQ5_0:
      return dequantize_blocks<BlockQ5_0>(source, out, blocks, each);
    case DType::kQ5_1:
      return dequantize_blocks<BlockQ5_1>(source, out, blocks, each);
    case DType::kQ4_K:
      return dequantize_blocks<BlockQ4_K>(source, out, blocks, each);
    case DType::kQ5_K:
      return dequantize_blocks<BlockQ5_K>(source, out, blocks, each);
    case DType::kQ6_K:
      return dequantize_blocks<BlockQ6_K>(source, out, blocks, each);
    default:
      CHECK(false, "dequantize_row: {} is not a floating-point or quantized type", name(dtype));
  }
}

size_t scale_offset(DType dtype) {
  return dtype == DType::kQ6_K ? 208 : 0;
}

bool has_min(DType dtype) {
  return dtype == DType::kQ4_1 || dtype == DType::kQ5_1 || dtype == DType::kQ4_K || dtype == DType::kQ5_K;
}

}  // namespace musaic
