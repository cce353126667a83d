#include "ops/linear/q8_panel_rows_cpu.h"

#include <cstring>

#include "ops/linear/q8_panel.h"
#include "ops/linear/q8_panel_types.h"
#include "tensor/dequantize.h"
#include "tensor/half.h"

namespace musaic {
namespace {

constexpr int kHalfValues = kBlockValues / 2;

// One column of a panel.
struct PanelColumn {
  const uint8_t* scales;
  const uint8_t* quants;
  int column;
};

float read_f16(const uint8_t* bytes) {
  uint16_t bits;
  std::memcpy(&bits, bytes, sizeof(bits));
  return f16_to_float(bits);
}

// What is taken from the quants before they are scaled.
constexpr int quant_offset(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
      return 8;
    case DType::kQ5_0:
      return 16;
    case DType::kQ6_K:
      return 32;
    case DType::kQ8_0:
      return 128;
    default:
      return 0;
  }
}

// The bits above 4 of value i of group `group`, where they belong.
template <DType kType>
int high_bits(const uint8_t* planes, int group, int i) {
  constexpr int kPlanes = (panel_format(kType).quant_bytes - 256) / 64;
  if constexpr (kPlanes == 0) return 0;
  if constexpr (kPlanes == 1) return (planes[i] >> group & 1) << 4;
  return (planes[64 * (group / 4) + i] >> (2 * (group % 4)) & 3) << 4;
}

// A block's unsigned quants.
template <DType kType>
void unpack_quants(const PanelColumn& panel, int64_t block, int (&quants)[kBlockValues]) {
  const uint8_t* bytes = panel.quants + block * panel_format(kType).quant_bytes + 4 * panel.column;
  for (int k = 0; k < kBlockValues; ++k) {
    const int group = k / 4, i = k % 4;
    if constexpr (kType == DType::kQ8_0) {
      quants[k] = bytes[64 * group + i];
    } else {
      const int nibble = bytes[64 * (group % 4) + i] >> (group / 4 * 4) & 0xF;
      quants[k] = nibble | high_bits<kType>(bytes + 256, group, i);
    }
  }
}

struct BlockScales {
  float halves[2];  // of 16 values each
  float min;        // what is added
};

template <DType kType>
BlockScales unpack_scales(const PanelColumn& panel, int64_t block) {
  constexpr PanelFormat kPanel = panel_format(kType);
  const uint8_t* group = panel.scales + block / kPanel.group_blocks * kPanel.group_scale_bytes;
  const int column = panel.column;
  const float d = read_f16(group + 2 * column);
  if constexpr (kType == DType::kQ6_K) {
    const uint8_t* sub = group + 32 + block % 8 * 32 + column;
    return {{d * static_cast<float>(static_cast<int8_t>(sub[0])),
             d * static_cast<float>(static_cast<int8_t>(sub[16]))},
            0.0F};
  } else if constexpr (kPanel.group_blocks == 8) {
    const uint8_t* sub = group + 64 + block % 8 * 32 + column;
    const float scale = d * static_cast<float>(sub[0]);
    return {{scale, scale}, -(read_f16(group + 32 + 2 * column) * static_cast<float>(sub[16]))};
  } else {
    return {{d, d}, kPanel.group_scale_bytes == 64 ? read_f16(group + 32 + 2 * column) : 0.0F};
  }
}

template <DType kType>
void dequantize(const std::byte* packed, int64_t row, int64_t columns, float* out) {
  const int64_t blocks = columns / kBlockValues;
  const auto* first = reinterpret_cast<const uint8_t*>(packed);
  const uint8_t* scales = first + static_cast<size_t>(row / kPanelColumns) * panel_bytes(kType, blocks);
  const PanelColumn panel = {scales, scales + panel_scale_bytes(kType, blocks),
                             static_cast<int>(row % kPanelColumns)};
  const bool adds_min = has_min(kType);  // else a zero keeps its sign
  for (int64_t block = 0; block < blocks; ++block, out += kBlockValues) {
    int quants[kBlockValues];
    unpack_quants<kType>(panel, block, quants);
    const BlockScales block_scales = unpack_scales<kType>(panel, block);
    for (int k = 0; k < kBlockValues; ++k)
      out[k] = static_cast<float>(quants[k] - quant_offset(kType)) * block_scales.halves[k / kHalfValues];
    if (!adds_min) continue;
    for (int k = 0; k < kBlockValues; ++k) out[k] += block_scales.min;
  }
}

}  // namespace

DequantizePanelRow dequantize_panel_row(DType dtype) {
  DequantizePanelRow found = nullptr;
  for_each_panel_type([&]<DType kType>() {
    if (kType == dtype) found = dequantize<kType>;
  });
  return found;
}

}  // namespace musaic
