#include "ops/linear/q8_packing_cpu.h"

#include <cstring>

#include "ops/linear/q8_panel.h"
#include "ops/linear/q8_panel_types.h"

namespace musaic {
namespace {

// Where a file's block keeps its parts, in bytes. Absent parts are −1.
struct BlockFormat {
  int bytes;
  int scale;      // d, or d and m next to each other: f16
  int quants;     // nibbles or bytes
  int high_bits;  // what the quants have above 4 bits
  int sub_scales;
};

constexpr BlockFormat block_format(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
      return {18, 0, 2, -1, -1};
    case DType::kQ4_1:
      return {20, 0, 4, -1, -1};
    case DType::kQ5_0:
      return {22, 0, 6, 2, -1};
    case DType::kQ5_1:
      return {24, 0, 8, 4, -1};
    case DType::kQ4_K:
      return {144, 0, 16, -1, 4};
    case DType::kQ5_K:
      return {176, 0, 48, 16, 4};
    case DType::kQ6_K:
      return {210, 208, 0, 128, 192};
    default:
      return {34, 0, 2, -1, -1};  // Q8_0
  }
}

constexpr bool has_super_blocks(DType dtype) {
  return panel_format(dtype).group_blocks == 8;
}

uint32_t load_word(const uint8_t* bytes) {
  uint32_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

// Bits 0-3 to the lowest bits of 4 bytes.
uint32_t spread_bits(uint32_t bits) {
  return bits * 0x00204081u & 0x01010101u;
}

// Values 4 · group .. 4 · group + 3 of a block of 32, as unsigned bytes of a word.
template <DType kType>
uint32_t unpack_group(const uint8_t* block, int sub_block, int group) {
  constexpr BlockFormat kFormat = block_format(kType);
  constexpr uint32_t kLowHalves = 0x0F0F0F0Fu;
  const uint8_t* quants = block + kFormat.quants;
  const uint8_t* high = block + kFormat.high_bits;
  if constexpr (kType == DType::kQ8_0) return load_word(quants + 4 * group) ^ 0x80808080u;
  if constexpr (kType == DType::kQ6_K) {
    const int half = sub_block / 4, quarter = sub_block % 4;
    const uint8_t* low = quants + half * 64 + quarter % 2 * 32;
    return (load_word(low + 4 * group) >> (quarter / 2 * 4) & kLowHalves) |
           (load_word(high + half * 32 + 4 * group) >> (quarter * 2) & 0x03030303u) << 4;
  }
  if constexpr (has_super_blocks(kType)) {
    const uint32_t low =
        load_word(quants + sub_block / 2 * 32 + 4 * group) >> (sub_block % 2 * 4) & kLowHalves;
    if constexpr (kType == DType::kQ4_K) return low;
    return low | (load_word(high + 4 * group) >> sub_block & 0x01010101u) << 4;
  }
  const uint32_t low = load_word(quants + 4 * (group % 4)) >> (group / 4 * 4) & kLowHalves;
  if constexpr (kFormat.high_bits < 0) return low;
  return low | spread_bits(load_word(high) >> (4 * group) & 0xF) << 4;
}

// The block's quants as column `column` of its lines of 64 bytes.
template <DType kType>
void put_quants(const uint8_t* block, int sub_block, int column, uint8_t* out) {
  constexpr int kPlanes = kType == DType::kQ8_0 ? 0 : (panel_format(kType).quant_bytes - 256) / 64;
  uint32_t groups[8];
  for (int group = 0; group < 8; ++group) groups[group] = unpack_group<kType>(block, sub_block, group);
  const auto put = [&](int line, uint32_t word) {
    std::memcpy(out + 64 * line + 4 * column, &word, sizeof(word));
  };
  if constexpr (kType == DType::kQ8_0) {
    for (int group = 0; group < 8; ++group) put(group, groups[group]);
    return;
  }
  for (int l = 0; l < 4; ++l) put(l, (groups[l] & 0x0F0F0F0Fu) | (groups[l + 4] & 0x0F0F0F0Fu) << 4);
  for (int plane = 0; plane < kPlanes; ++plane) {
    constexpr int kGroups = kPlanes == 0 ? 0 : 8 / kPlanes;
    uint32_t bits = 0;
    for (int i = 0; i < kGroups; ++i)
      bits |= (groups[plane * kGroups + i] >> 4 & 0x0F0F0F0Fu) << (kPlanes * i);
    put(4 + plane, bits);
  }
}

struct ScaleAndMin {
  uint8_t scale, min;  // 6 bits each
};

// Q4_K, Q5_K: the first four pairs lie in the low bits of bytes 0-3 and 4-7; of the other four, the low 4
// bits are in bytes 8-11 and the high 2 in the tops of bytes 0-7.
ScaleAndMin unpack_sub_scale(const uint8_t* packed, int j) {
  if (j < 4) return {static_cast<uint8_t>(packed[j] & 63), static_cast<uint8_t>(packed[j + 4] & 63)};
  return {static_cast<uint8_t>((packed[j + 4] & 15) | packed[j - 4] >> 6 << 4),
          static_cast<uint8_t>(packed[j + 4] >> 4 | packed[j] >> 6 << 4)};
}

// d, and m where there is one, of a file's block: 16 values each in a panel.
template <DType kType>
void put_scales(const uint8_t* block, int column, uint8_t* out) {
  constexpr BlockFormat kFormat = block_format(kType);
  constexpr bool kHasMin =
      kType == DType::kQ4_1 || kType == DType::kQ5_1 || kType == DType::kQ4_K || kType == DType::kQ5_K;
  std::memcpy(out + 2 * column, block + kFormat.scale, 2);
  if constexpr (kHasMin) std::memcpy(out + 32 + 2 * column, block + kFormat.scale + 2, 2);
  if constexpr (!has_super_blocks(kType)) return;
  uint8_t* sub = out + (kHasMin ? 64 : 32);
  for (int j = 0; j < 8; ++j, sub += 32) {
    if constexpr (kType == DType::kQ6_K) {
      sub[column] = block[kFormat.sub_scales + 2 * j];
      sub[column + 16] = block[kFormat.sub_scales + 2 * j + 1];
    } else {
      const ScaleAndMin pair = unpack_sub_scale(block + kFormat.sub_scales, j);
      sub[column] = pair.scale;
      sub[column + 16] = pair.min;
    }
  }
}

template <DType kType>
void pack_panel(const uint8_t* const* rows, int64_t columns, int64_t blocks, uint8_t* panel) {
  constexpr PanelFormat kPanel = panel_format(kType);
  uint8_t* quants = panel + panel_scale_bytes(kType, blocks);
  if (columns < kPanelColumns) std::memset(panel, 0, panel_bytes(kType, blocks));
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t group = block / kPanel.group_blocks;
    const int sub_block = static_cast<int>(block % kPanel.group_blocks);
    for (int column = 0; column < columns; ++column) {
      const uint8_t* source = rows[column] + group * block_format(kType).bytes;
      if (sub_block == 0) put_scales<kType>(source, column, panel + group * kPanel.group_scale_bytes);
      put_quants<kType>(source, sub_block, column, quants + block * kPanel.quant_bytes);
    }
  }
}

template <DType kType>
void pack(const WeightRows& source, int64_t begin, int64_t end, std::byte* packed) {
  const int64_t blocks = source.columns / kBlockValues;
  for (int64_t first = begin; first < end; first += kPanelColumns) {
    const uint8_t* rows[kPanelColumns] = {};
    const int64_t columns = end - first < kPanelColumns ? end - first : kPanelColumns;
    for (int64_t i = 0; i < columns; ++i) rows[i] = reinterpret_cast<const uint8_t*>(source.row(first + i));
    uint8_t* panel = reinterpret_cast<uint8_t*>(packed) + first / kPanelColumns * panel_bytes(kType, blocks);
    pack_panel<kType>(rows, columns, blocks, panel);
  }
}

template <DType kType>
size_t packed_bytes(int64_t rows, int64_t columns) {
  const int64_t panels = (rows + kPanelColumns - 1) / kPanelColumns;
  return static_cast<size_t>(panels) * panel_bytes(kType, columns / kBlockValues);
}

template <DType kType>
WeightPacking packing() {
  return {.input = 3,
          .layout = std::string(name(kType)) + "_x16",
          .row_alignment = kPanelColumns,
          .bytes = packed_bytes<kType>,
          .pack = pack<kType>};
}

}  // namespace

WeightPacking q8_packing(DType dtype) {
  WeightPacking found;
  for_each_panel_type([&]<DType kType>() {
    if (kType == dtype) found = packing<kType>();
  });
  CHECK(found.pack != nullptr, "{} has no panels", name(dtype));
  return found;
}

}  // namespace musaic
